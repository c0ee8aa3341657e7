//! Signed notes and checkpoints: what is read is written again as the same text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::note::Note;

fuzz_target!(|text: &str| {
    let _ = Note::read(text);
    let _ = Checkpoint::unverified(text);
    if let Ok(checkpoint) = Checkpoint::from_text(text) {
        assert_eq!(checkpoint.text(), text);
    }
});
