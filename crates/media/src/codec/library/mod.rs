//! Codecs from shared libraries that are opened while the program runs, because their licences keep them out of the
//! binary or because few calls need them. Where a library is missing its codec is not offered.
//!
//! This is the only unsafe code of the crate. Each file names the functions it takes from its library as that library's
//! public header declares them, in an interface that has not changed since the version in the library's file name; what
//! a library gives out stays behind a type that frees it, and every buffer passed has the length that the header asks
//! for. A library once opened is never closed.

pub(super) mod avcodec;
pub(super) mod g723;
pub(super) mod g729;
pub(super) mod gsm;
pub(super) mod speex;

use libloading::Library;

/// Opens the first of `names` that is there.
///
/// # Errors
/// For a person: what is missing and how to get it.
#[allow(unsafe_code)]
fn open(what: &str, names: &[&str], package: &str) -> Result<Library, String> {
    let found = names.iter().find_map(|name| {
        // SAFETY: opening runs the library's initialisers. These are the system's copies of well-known codec libraries,
        // whose initialisers touch nothing of ours.
        unsafe { Library::new(name) }.ok()
    });
    found.ok_or_else(|| {
        format!("{what} is not installed (on Debian and Ubuntu: apt-get install {package})")
    })
}

/// Takes a function out of a library.
///
/// # Safety
/// `T` must be the function's type as the library's header declares it. It may be called for as long as `library` lives.
///
/// # Errors
/// The library has no such function.
#[allow(unsafe_code)]
unsafe fn function<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: the type is right, as the caller promises.
    unsafe { library.get::<T>(name.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|_| format!("the library lacks {name}: another version is needed"))
}
