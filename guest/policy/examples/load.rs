fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let req = serde_json::json!({"op":"load","rules":text}).to_string();
    let v: serde_json::Value =
        serde_json::from_str(&signoff_policy::workbench::call(&req)).unwrap();
    println!("{}", serde_json::to_string_pretty(&v).unwrap());
    println!("{}", signoff_policy::workbench::call(r#"{"op":"test"}"#));
}
