//! Makes a component of the compiler's core module: component CORE FILE

#[cfg(not(target_arch = "wasm32"))]
fn main() -> anyhow::Result<()> {
    use anyhow::Context;

    let mut arguments = std::env::args().skip(1);
    let core = arguments.next().context("which core module?")?;
    let component = arguments.next().context("which component?")?;
    let mut encoder = wit_component::ComponentEncoder::default().validate(true);
    encoder = encoder.module(&std::fs::read(core)?)?;
    std::fs::write(component, encoder.encode()?)?;
    Ok(())
}

#[cfg(target_arch = "wasm32")]
fn main() {}
