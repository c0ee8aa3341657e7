//! Commands: the time to start a process and load precompiled code.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use signoff::measure::Case;
use signoff::measure::work::mixed_json;

use crate::Plan;
use crate::peer::scratch;
use crate::table::{Figures, Target};

pub(crate) fn measure(plan: &Plan, figures: &mut Figures) -> Result<()> {
    let (context, cache) = (scratch("context.json"), scratch("cache"));
    fs::write(&context, mixed_json(1 << 10))?;
    let mut cases = [
        Case::repeated("`signoff hash`, warm", || run("hash", Some(&context), &cache)),
        Case::repeated("`signoff --version`", || run("--version", None, &cache)),
    ];
    plan.take_turns(&mut cases)?;
    let [hash, version] = &cases;
    figures.slower(hash, version, Target::AtMost(3.0));
    Ok(())
}

fn run(argument: &str, file: Option<&Path>, cache: &Path) -> Result<()> {
    let mut signoff = Command::new(env!("CARGO_BIN_EXE_signoff"));
    signoff.arg(argument).args(file).env("SIGNOFF_CACHE_DIR", cache).stdout(Stdio::null());
    ensure!(signoff.status()?.success(), "`signoff {argument}` failed");
    Ok(())
}
