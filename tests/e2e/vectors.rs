//! The vectors through the typed host: the component gives the same answers as the guest as a native
//! library. The runners in Python and Node print the same last line.

use std::path::Path;

use signoff::engine::{Allocation, Cache};
use signoff::verifier::Verifier;
use signoff_verifier::wire;

#[path = "../vectors/runner.rs"]
mod runner;

#[test]
fn the_component_answers_as_the_library_does() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    let cache = Cache::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("vectors-cache"));
    let verifier = Verifier::embedded(Allocation::OnDemand, &cache).unwrap();
    let component = runner::run(&directory, |request| verifier.wire(request).unwrap());
    let component = component.unwrap();
    let library = runner::run(&directory, wire::call).unwrap();
    println!("{}", component.summary);
    assert!(component.failures.is_empty(), "{}", component.failures.join("\n"));
    assert_eq!(component.summary, library.summary);
}
