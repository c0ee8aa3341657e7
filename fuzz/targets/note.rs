//! Signed notes and checkpoints: a checkpoint that is read is written again as the lines that it was read
//! from; extension lines may follow them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::note::Note;

fuzz_target!(|text: &str| {
    let _ = Note::read(text);
    let _ = Checkpoint::unverified(text);
    if let Ok(checkpoint) = Checkpoint::from_text(text) {
        assert!(text.starts_with(&checkpoint.text()));
    }
});
