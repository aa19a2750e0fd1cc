//! What the figures were measured on.

use std::process::Command;

use crate::Options;

pub fn print(options: &Options) {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split(':').nth(1)).map_or("?".to_owned(), |value| value.trim().to_owned())
    };
    let said = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().map_or("?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {}, {cores} cores, {} memory, Linux {}", field(&file("/proc/cpuinfo"), "model name"), field(&file("/proc/meminfo"), "MemTotal"), said("uname", &["-r"]));
    println!("filesystem: {}", said("findmnt", &["-no", "FSTYPE,OPTIONS", "-T", &options.folder.display().to_string()]));
    println!("date: {}", said("date", &["-u", "+%F %T UTC"]));
    println!("each cell: {} s after a warm-up of {} s, on empty data; the senders share the cores with the server", options.seconds, options.seconds / 5.0);
    println!("events: registry notifications of {} bytes as the registry sends them; the databases get them parsed, and", crate::events::raw(0).len());
    println!("  store the same columns, entry and raw bytes under a unique source key and two query indexes");
}
