//! The core export `author`, in addition to the component's exports. Shipped policies do not
//! have it.

#![allow(unsafe_code, reason = "pointers cross the module boundary")]

use std::cell::UnsafeCell;

use crate::authoring;
use crate::heap;

/// Pointer and length of the last answer, at an address that the caller reads.
struct Output(UnsafeCell<([u32; 2], String)>);

// SAFETY: the module has one thread; it imports nothing that could start another.
unsafe impl Sync for Output {}

static ANSWER: Output = Output(UnsafeCell::new(([0; 2], String::new())));

/// Answers the JSON request at `ptr`, a buffer that the caller got from
/// `cabi_realloc(0, 0, 1, len)` and hands over. Returns a pointer to two little-endian u32, the
/// pointer and length of the answer, which are valid until the next call.
///
/// # Safety
///
/// `ptr` must be such a buffer of `len` bytes.
#[unsafe(no_mangle)]
#[expect(unreachable_pub, reason = "an export of the core module")]
pub unsafe extern "C" fn author(ptr: *mut u8, len: usize) -> *const u32 {
    // SAFETY: the caller hands over the buffer, as required above; an empty one is not an
    // allocation.
    let request = if len == 0 { Vec::new() } else { unsafe { Vec::from_raw_parts(ptr, len, len) } };
    // Rules outlive the call; anything allocated after it is for one evaluation.
    heap::allocate_for_evaluation(false);
    let answer = match String::from_utf8(request) {
        Ok(request) => authoring::call(&request),
        Err(_) => r#"{"error":{"message":"the request is not UTF-8"}}"#.to_owned(),
    };
    // SAFETY: one thread, and no reference to the answer outlives a call.
    let held = unsafe { &mut *ANSWER.0.get() };
    held.1 = answer;
    held.0 = [held.1.as_ptr() as u32, u32::try_from(held.1.len()).unwrap_or_default()];
    heap::allocate_for_evaluation(true);
    held.0.as_ptr()
}
