//! The vectors through the typed host: the component gives the same answers as the guest as a native
//! library. The runners in Python and Node print the same last line.

use std::path::Path;

use signoff::engine::{Allocation, Cache};
use signoff::verifier::Verifier;
use signoff_verifier::wire;

#[test]
fn the_component_answers_as_the_library_does() {
    let cache = Cache::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("vectors-cache"));
    let verifier = Verifier::embedded(Allocation::OnDemand, &cache).unwrap();
    let component =
        signoff_vectors::run(&signoff_vectors::ALL, |request| verifier.wire(request).unwrap());
    let component = component.unwrap();
    let library = signoff_vectors::run(&signoff_vectors::ALL, wire::call).unwrap();
    println!("{}", component.summary);
    assert!(component.failures.is_empty(), "{}", component.failures.join("\n"));
    assert_eq!(component.summary, library.summary);
}
