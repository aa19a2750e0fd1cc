//! Ends a command whose output nobody reads any more: `daybook tail | head`.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Ends the program, successfully, as soon as the reader of its standard output is gone. For
/// commands that only read a log: they may be waiting for an event or a page at that moment, so no
/// write would notice.
pub fn end_with_the_reader() {
    // Without a thread the command goes on as before, and its next write notices.
    let _ = std::thread::Builder::new().name("reader".to_owned()).spawn(|| {
        if reader_is_gone() {
            std::process::exit(0);
        }
    });
}

/// Waits until the reader is gone. A file has none: then this waits for ever. False if that cannot
/// be found out.
fn reader_is_gone() -> bool {
    let stdout = std::io::stdout();
    loop {
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut watched, None) {
            Err(Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
        }
    }
}
