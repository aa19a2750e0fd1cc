//! What the figures were measured on.

use std::process::Command;

use crate::options::Options;

pub fn print(options: &Options) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory_kib: f64 =
        field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    let folder = options.folder.display().to_string();
    println!("date        {}", said("date", &["-u", "+%F %T UTC"]));
    println!("processor   {}, {cores} cores", field("/proc/cpuinfo", "model name"));
    println!("memory      {:.1} GiB", memory_kib / (1 << 20) as f64);
    println!("kernel      {}", said("uname", &["-sr"]));
    println!("filesystem  {}", said("findmnt", &["-no", "FSTYPE,OPTIONS", "-T", &folder]));
    println!("load        {} (of the last minute, as the run began)", load());
}

/// A value in a file of lines such as `name : value`.
fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    })
}
