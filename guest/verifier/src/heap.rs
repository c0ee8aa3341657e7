//! The allocator of the core module. Small calls allocate from an arena that only goes up and begins
//! anew when nothing in it is in use, which is after each call; larger ones from dlmalloc over a
//! static first heap, so that a fresh instance serves a usual call without growing its memory.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its contract")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32;
use core::cell::UnsafeCell;

use dlmalloc::{Allocator, Dlmalloc};

/// Bytes of the arena: what a decision over a few KiB of context allocates in all.
const ARENA_BYTES: usize = 64 << 10;
/// Bytes of the first heap: what the arena is too small for, within reason.
const FIRST_HEAP_BYTES: usize = 64 << 10;
const WASM_PAGE_BYTES: usize = 64 << 10;

#[global_allocator]
static HEAP: Heap = Heap {
    arena: UnsafeCell::new(Arena { used: 0, live: 0 }),
    rest: UnsafeCell::new(Dlmalloc::new_with_allocator(Pages {
        first_heap_used: UnsafeCell::new(false),
    })),
};

struct Heap {
    arena: UnsafeCell<Arena>,
    rest: UnsafeCell<Dlmalloc<Pages>>,
}

/// How much of the arena is taken, and how many allocations are in it.
struct Arena {
    used: usize,
    live: usize,
}

/// Where dlmalloc gets its memory: the static heap once, then whole pages.
struct Pages {
    first_heap_used: UnsafeCell<bool>,
}

#[repr(align(16))]
struct FirstHeap(UnsafeCell<[u8; FIRST_HEAP_BYTES]>);

#[repr(align(16))]
struct ArenaBytes(UnsafeCell<[u8; ARENA_BYTES]>);

static ARENA: ArenaBytes = ArenaBytes(UnsafeCell::new([0; ARENA_BYTES]));
static FIRST_HEAP: FirstHeap = FirstHeap(UnsafeCell::new([0; FIRST_HEAP_BYTES]));

// SAFETY: the module has one thread; it imports nothing that could start another.
unsafe impl Sync for Heap {}
// SAFETY: as above.
unsafe impl Sync for FirstHeap {}
// SAFETY: as above.
unsafe impl Sync for ArenaBytes {}
// SAFETY: as above.
unsafe impl Send for Pages {}

impl Arena {
    fn base() -> usize {
        ARENA.0.get().addr()
    }

    fn holds(ptr: *mut u8) -> bool {
        ptr.addr().wrapping_sub(Self::base()) < ARENA_BYTES
    }

    /// A place for a layout, or none where it does not fit.
    fn take(&mut self, layout: Layout) -> Option<*mut u8> {
        // The base is aligned to 16; what wants more goes elsewhere.
        let align = Some(layout.align()).filter(|align| *align <= 16)?;
        let at = (self.used + align - 1) & !(align - 1);
        let end = at.checked_add(layout.size()).filter(|end| *end <= ARENA_BYTES)?;
        (self.used, self.live) = (end, self.live + 1);
        Some(ARENA.0.get().cast::<u8>().wrapping_add(at))
    }

    fn give_back(&mut self, ptr: *mut u8, size: usize) {
        self.live -= 1;
        if self.live == 0 {
            self.used = 0;
        } else if self.is_last(ptr, size) {
            self.used -= size;
        }
    }

    /// Changes the size of an allocation where it is; whether it could.
    fn resize(&mut self, ptr: *mut u8, size: usize, new_size: usize) -> bool {
        if !self.is_last(ptr, size) {
            return new_size <= size;
        }
        let end = (self.used - size).checked_add(new_size).filter(|end| *end <= ARENA_BYTES);
        self.used = end.unwrap_or(self.used);
        end.is_some()
    }

    fn is_last(&self, ptr: *mut u8, size: usize) -> bool {
        ptr.addr() + size == Self::base() + self.used
    }
}

// SAFETY: what the arena hands out lies between `used` before and after, so no two allocations that
// are in use overlap, and `used` goes back only over what was given back last or when nothing is in
// use. dlmalloc keeps GlobalAlloc's contract. With one thread no two calls overlap.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let arena = unsafe { &mut *self.arena.get() };
        match arena.take(layout) {
            Some(ptr) => ptr,
            None => unsafe { (*self.rest.get()).malloc(layout.size(), layout.align()) },
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if Arena::holds(ptr) {
            unsafe { (*self.arena.get()).give_back(ptr, layout.size()) };
        } else {
            unsafe { (*self.rest.get()).free(ptr, layout.size(), layout.align()) }
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !Arena::holds(ptr) {
            let rest = self.rest.get();
            return unsafe { (*rest).realloc(ptr, layout.size(), layout.align(), new_size) };
        }
        if unsafe { (*self.arena.get()).resize(ptr, layout.size(), new_size) } {
            return ptr;
        }
        // SAFETY: the caller vouches for the size, and the two regions are both in use.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                core::ptr::copy_nonoverlapping(ptr, moved, layout.size().min(new_size));
                self.dealloc(ptr, layout);
            }
            moved
        }
    }
}

// SAFETY: every region handed out is owned by nobody else: the static heap is given once, and
// `memory.grow` answers pages that did not exist before. Both are zero, as `allocates_zeros` says.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let first_heap_used = self.first_heap_used.get();
        // SAFETY: one thread, and no other reference to the flag exists.
        if size <= FIRST_HEAP_BYTES && !unsafe { first_heap_used.replace(true) } {
            return (FIRST_HEAP.0.get().cast(), FIRST_HEAP_BYTES, 0);
        }
        let pages = size.div_ceil(WASM_PAGE_BYTES);
        let before = wasm32::memory_grow(0, pages);
        if before == usize::MAX {
            return (core::ptr::null_mut(), 0, 0);
        }
        ((before * WASM_PAGE_BYTES) as *mut u8, pages * WASM_PAGE_BYTES, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        core::ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        WASM_PAGE_BYTES
    }
}
