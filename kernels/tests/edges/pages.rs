//! Slices at the edge of what may be touched.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, Once};

/// Where a slice lies in the pages that are its own, which have one before and one after them that nobody may touch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// Away from both, and at an address that no vector is aligned to.
    Middle,
    /// It ends where the page after begins.
    End,
    /// It begins where the page before ends.
    Start,
}

pub const PLACES: [Place; 3] = [Place::Middle, Place::End, Place::Start];

/// What the room around a slice holds.
const CANARY: u8 = 0xa5;

/// Numbers at an edge: whoever reads or writes beyond it ends the process, and whoever writes on the other side is found
/// out when this is dropped.
pub struct Edged<T> {
    map: NonNull<u8>,
    /// Bytes of the map, both guards with it.
    mapped: usize,
    page: usize,
    /// Where the numbers begin, and how many there are.
    at: usize,
    values: NonNull<T>,
    len: usize,
}

impl<T: Copy> Edged<T> {
    pub fn new(place: Place, values: &[T]) -> Self {
        let bytes = size_of_val(values);
        // SAFETY: it asks for a constant of the system.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap();
        let inner = (bytes + 4 * size_of::<T>()).next_multiple_of(page);
        let mapped = inner + 2 * page;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new map, at an address of the system's choice.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), mapped, access, kind, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        let map = NonNull::new(map.cast::<u8>()).unwrap();
        let at = match place {
            Place::Middle => page + size_of::<T>(),
            Place::End => page + inner - bytes,
            Place::Start => page,
        };
        // SAFETY: all of it is inside the map of `mapped` bytes that was just made; `at` is a multiple of the size of T,
        // which is its alignment for the numbers there are here, and `values` fits before the page at the end.
        unsafe {
            map.write_bytes(CANARY, mapped);
            let first = map.add(at).cast::<T>();
            first.as_ptr().copy_from_nonoverlapping(values.as_ptr(), values.len());
            for guard in [0, page + inner] {
                assert_eq!(libc::mprotect(map.add(guard).as_ptr().cast(), page, libc::PROT_NONE), 0);
            }
            Edged { map, mapped, page, at, values: first, len: values.len() }
        }
    }
}

impl<T> Edged<T> {
    /// The bytes of the map that may be touched.
    fn inner(&self) -> &[u8] {
        // SAFETY: those between the guards are readable, and bytes of numbers; nobody writes while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.map.add(self.page).as_ptr(), self.mapped - 2 * self.page) }
    }

    /// Whether nothing was written around the numbers.
    fn intact(&self) -> bool {
        let from = self.at - self.page;
        let (before, rest) = self.inner().split_at(from);
        before.iter().chain(&rest[self.len * size_of::<T>()..]).all(|&byte| byte == CANARY)
    }
}

impl<T> Deref for Edged<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` numbers were written there, aligned, and the map is there as long as `self` is.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Edged<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) }
    }
}

impl<T> Drop for Edged<T> {
    fn drop(&mut self) {
        let intact = self.intact();
        // SAFETY: the whole of the map, which nothing refers to any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.mapped) };
        assert!(intact || std::thread::panicking(), "{}: wrote around a slice", DOING.get());
    }
}

thread_local! {
    /// What is done right now.
    static DOING: Cell<&'static str> = const { Cell::new("") };
}

/// Runs `kernel` with its operands in each place, and compares what it returns: outputs as numbers.
pub fn everywhere<T: Copy + PartialEq + std::fmt::Debug>(what: String, kernel: impl Fn(Place) -> Vec<Edged<T>>) {
    name_the_culprit();
    let mut expected: Option<Vec<Edged<T>>> = None;
    for place in PLACES {
        DOING.set(kept(format!("{what}, {place:?}")));
        let found = kernel(place);
        match &expected {
            None => expected = Some(found),
            Some(expected) => {
                for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                    assert!(found[..] == expected[..], "{what}: output {i} in {place:?} is not that in the middle");
                }
            }
        }
    }
}

/// The text, for as long as the process lives: a handler of signals can read it without a lock. There are some thousands.
fn kept(text: String) -> &'static str {
    static ALL: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let text: &'static str = Box::leak(text.into_boxed_str());
    ALL.lock().unwrap().push(text); // for those who look for leaks
    text
}

/// From now on, whoever touches a guard is named on standard error before the process ends.
fn name_the_culprit() {
    static INSTALL: Once = Once::new();
    extern "C" fn name(signal: libc::c_int) {
        let doing = DOING.get();
        for text in ["touched a page beyond a slice: ", doing, "\n"] {
            // SAFETY: `write` may be called from handlers, with bytes that are there; the handler set back to the default,
            // the same instruction ends the process when it is run again.
            unsafe {
                libc::write(2, text.as_ptr().cast(), text.len());
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
    // SAFETY: the handler calls only what handlers may, and reads a value of the thread that needs no initialisation.
    INSTALL.call_once(|| unsafe {
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            libc::signal(signal, name as extern "C" fn(libc::c_int) as libc::sighandler_t);
        }
    });
}
