//! How much memory there is, asked before much is taken: an allocation that fails ends the program, and the system ends
//! a program that takes more than it has.

use std::fmt;
use std::fs::read_to_string;
use std::path::Path;

/// Less than this is not worth asking for.
const SMALL: u64 = 64 << 20;

/// More memory is needed than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// In bytes.
    pub needed: u64,
    /// In bytes.
    pub available: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of memory are needed, and {} are available", in_words(self.needed), in_words(self.available))
    }
}

/// A number of bytes with its unit: `12.3 GB`.
pub fn in_words(bytes: u64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")];
    let unit = UNITS.into_iter().find(|(unit, _)| bytes as f64 >= *unit);
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{:.1} {name}", bytes as f64 / unit))
}

/// Whether `needed` bytes can be taken. Where the system does not say, they can.
///
/// # Errors
/// If they are more than what is available.
pub fn check(needed: u64) -> Result<(), Shortage> {
    if needed < SMALL {
        return Ok(());
    }
    match available() {
        Some(available) if needed > available => Err(Shortage { needed, available }),
        _ => Ok(()),
    }
}

/// How many bytes the process can still take, of the machine and within its limits, where the system says so.
pub fn available() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| kilobytes(&text, "MemAvailable:"));
    machine.into_iter().chain(address_space()).chain(of_groups()).min()
}

/// How many bytes of addresses the process can still take, where they are limited.
pub fn address_space() -> Option<u64> {
    let (limits, status) = (read_to_string("/proc/self/limits").ok()?, read_to_string("/proc/self/status").ok()?);
    within_limits(&limits, &status)
}

fn within_limits(limits: &str, status: &str) -> Option<u64> {
    let left = |limit: &str, taken: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit))?;
        let soft: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(soft.saturating_sub(kilobytes(status, taken)?))
    };
    left("Max address space", "VmSize:").into_iter().chain(left("Max data size", "VmData:")).min()
}

/// What control groups leave, of either version.
fn of_groups() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let rooms = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let (root, names) = match controllers {
            "" => ("/sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"]),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"])
            }
            _ => return None,
        };
        // A limit holds for all groups below. Within a container only the part of the path below its own group exists.
        let group = Path::new(group.trim_start_matches('/'));
        let folders = group.ancestors().map(|group| Path::new(root).join(group));
        folders.filter_map(|folder| of_group(&|name| read_to_string(folder.join(name)).ok(), names)).min()
    });
    rooms.min()
}

/// What is left to one control group, given its files. Pages of files are given up for others.
fn of_group(read: &dyn Fn(&str) -> Option<String>, [limit, usage, kept]: [&str; 3]) -> Option<u64> {
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let stat = read("memory.stat").unwrap_or_default();
    let kept = stat.lines().find_map(|line| line.strip_prefix(kept)?.trim().parse().ok()).unwrap_or(0);
    Some(number(limit)?.saturating_sub(number(usage)?.saturating_sub(kept)))
}

/// The number of a line such as `VmSize:  1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_understood() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max data size             unlimited            unlimited            bytes     \n\
                      Max address space         1000000              unlimited            bytes     \n";
        let status = "Name:\tgavotte\nVmSize:\t     300 kB\nVmData:\t     100 kB\n";
        assert_eq!(within_limits(limits, status), Some(1_000_000 - 300 * 1024));
        assert_eq!(within_limits(&limits.replace("1000000 ", "unlimited"), status), None);
        assert_eq!(within_limits(&limits.replace("1000000", "1000"), status), Some(0));
        assert_eq!(kilobytes("MemFree: 1 kB\nMemAvailable:   24 kB\n", "MemAvailable:"), Some(24 * 1024));
        let names = ["memory.max", "memory.current", "inactive_file"];
        let group = |limit: &'static str| {
            let read = move |name: &str| {
                let text = match name {
                    "memory.max" => limit,
                    "memory.current" => "700\n",
                    _ => "anon 5\ninactive_file 600\n",
                };
                Some(text.to_string())
            };
            of_group(&read, names)
        };
        assert_eq!((group("1000\n"), group("max\n"), group("50\n")), (Some(900), None, Some(0)));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        assert_eq!(check(SMALL - 1), Ok(()));
        if available().is_some() {
            let text = check(u64::MAX).unwrap_err().to_string();
            assert!(
                text.contains("18446744.1 TB of memory are needed, and ") && text.ends_with(" are available"),
                "{text}"
            );
        }
        assert_eq!([0, 1500, 2_000_000, 24_100_000_000].map(in_words), ["0 bytes", "1.5 KB", "2.0 MB", "24.1 GB"]);
    }
}
