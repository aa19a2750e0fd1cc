//! What the kernel tells of a process.

use crate::Result;

/// Clock ticks in a second: what Linux reports to programs, whatever its own clock does.
const TICKS_S: f64 = 100.0;

/// Seconds of processor time that a process took, in user and kernel mode.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = Stat::of(pid)?;
    Ok((stat.ticks(14)? + stat.ticks(15)?) / TICKS_S)
}

/// The same for a process with all its children, those that ended included.
pub fn family_cpu_seconds(pid: u32) -> Result<f64> {
    let own = Stat::of(pid)?;
    let mut ticks = own.ticks(14)? + own.ticks(15)? + own.ticks(16)? + own.ticks(17)?;
    for found in std::fs::read_dir("/proc")? {
        let Some(Ok(child)) = found?.file_name().to_str().map(str::parse) else { continue };
        // A process may end while it is looked at; then it counts as one that ended.
        let Ok(stat) = Stat::of(child) else { continue };
        if stat.ticks(4)? == f64::from(pid) {
            ticks += stat.ticks(14)? + stat.ticks(15)?;
        }
    }
    Ok(ticks / TICKS_S)
}

/// The most memory that a process ever had resident, in MiB.
pub fn peak_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// `/proc/PID/stat`. Its fields are counted from 1 in proc_pid_stat(5).
struct Stat(String);

impl Stat {
    fn of(pid: u32) -> Result<Stat> {
        Ok(Stat(std::fs::read_to_string(format!("/proc/{pid}/stat"))?))
    }

    fn ticks(&self, field: usize) -> Result<f64> {
        // The second field is the program's name in parentheses and may hold anything.
        let (_, rest) = self.0.rsplit_once(')').ok_or("no process name")?;
        Ok(rest.split_whitespace().nth(field - 3).ok_or("too few fields")?.parse()?)
    }
}
