//! A small MCP server to try the gate with: it sends no mail, and says how much it would have sent.

use std::io::{BufRead, Write, stdin, stdout};

use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failure};

/// Serves standard input until its end.
pub(super) fn run() -> Result<Exit, Failure> {
    let mut sent = 0;
    for line in stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let (Some(id), Some(method)) = (message.get("id"), message.get("method")) else { continue };
        let answer = match answer(method.as_str().unwrap_or_default(), &message, &mut sent) {
            Some(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            None => json!({ "jsonrpc": "2.0", "id": id, "error": {
                "code": -32_601, "message": "method not found",
            } }),
        };
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(Exit::Done)
}

fn answer(method: &str, message: &Value, sent: &mut u32) -> Option<Value> {
    let param = |name: &str| message.get("params").and_then(|params| params.get(name));
    let text = |text: String| {
        json!({
            "resultType": "complete", "content": [{ "type": "text", "text": text }],
        })
    };
    match method {
        "initialize" => Some(json!({
            "protocolVersion": param("protocolVersion").cloned().unwrap_or_else(|| "2025-11-25".into()),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "signoff-sample", "version": env!("CARGO_PKG_VERSION") },
        })),
        "ping" => Some(json!({})),
        "tools/list" => Some(json!({ "resultType": "complete", "tools": [
            {
                "name": "read_inbox",
                "description": "Returns the subjects of new mail.",
                "inputSchema": { "type": "object" },
            },
            {
                "name": "send_mail",
                "description": "Sends a mail.",
                "inputSchema": {
                    "type": "object",
                    "properties": { "to": { "type": "string" }, "text": { "type": "string" } },
                    "required": ["to", "text"],
                    "additionalProperties": false,
                },
            },
        ] })),
        "tools/call" => match param("name")?.as_str()? {
            "read_inbox" => Some(text("1 new mail: Invoice 7".to_owned())),
            "send_mail" => {
                *sent += 1;
                Some(text(format!("sent mail {sent}")))
            }
            _ => None,
        },
        _ => None,
    }
}
