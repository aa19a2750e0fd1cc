//! The machine of the measurements.

use std::path::Path;
use std::process::Command;

pub fn print(folder: &Path) {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split(':').nth(1))
            .map_or("?".to_owned(), |value| value.trim().to_owned())
    };
    let said = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().map_or("?".to_owned(), |output| {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "machine: {}, {cores} cores, {} memory, Linux {}",
        field(&file("/proc/cpuinfo"), "model name"),
        field(&file("/proc/meminfo"), "MemTotal"),
        said("uname", &["-r"])
    );
    println!(
        "filesystem: {}",
        said("findmnt", &["-no", "FSTYPE,OPTIONS", "-T", &folder.display().to_string()])
    );
    println!("date: {}", said("date", &["-u", "+%F %T UTC"]));
    let changes = if said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        ""
    } else {
        ", with changes"
    };
    println!("commit: {}{changes}", said("git", &["rev-parse", "--short", "HEAD"]));
}
