//! How much memory this process may still take, as far as the system says. The system is asked before much memory is
//! taken: a process that gets less than it asked for is killed, and cannot say why.

use std::fs::read_to_string;
use std::path::Path;

/// This much is taken without asking: asking costs about as much as filling this much memory for the first time.
const LITTLE: u64 = 16 << 20;

/// Requires that this many more bytes can be taken. The error says how many are available.
pub fn require(bytes: usize) -> Result<(), String> {
    let bytes = bytes as u64;
    if bytes < LITTLE {
        return Ok(());
    }
    match available() {
        Some(there) if there < bytes => {
            Err(format!("{} of memory are needed, and {} are there", shown(bytes), shown(there)))
        }
        _ => Ok(()),
    }
}

/// Bytes that this process may still take; `None` if the system does not say.
#[cfg(target_os = "linux")]
pub fn available() -> Option<u64> {
    let [machine, own, limits] = ["/proc/meminfo", "/proc/self/status", "/proc/self/limits"]
        .map(|file| read_to_string(file).unwrap_or_default());
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    [of_machine(&machine), of_limits(&own, &limits), of_groups(&groups)].into_iter().flatten().min()
}

/// Bytes that this process may still take; `None` if the system does not say.
#[cfg(not(target_os = "linux"))]
pub fn available() -> Option<u64> {
    None
}

/// Bytes of address space that the limits of this process leave; `None` if it has no limit.
pub fn address_space() -> Option<u64> {
    let [own, limits] = ["/proc/self/status", "/proc/self/limits"].map(|file| read_to_string(file).unwrap_or_default());
    of_limits(&own, &limits)
}

/// The number after a name; a number in kB is converted to bytes.
fn number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let mut words = rest.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    Some(if words.next() == Some("kB") { number.saturating_mul(1024) } else { number })
}

/// The memory that the machine can provide without taking it from other programs.
fn of_machine(meminfo: &str) -> Option<u64> {
    Some(number(meminfo, "MemAvailable:")? + number(meminfo, "SwapFree:").unwrap_or(0))
}

/// The memory that the limits of the process leave; `None` if it has no limit.
fn of_limits(status: &str, limits: &str) -> Option<u64> {
    let left = |limit: &str, taken: &str| Some(number(limits, limit)?.saturating_sub(number(status, taken)?));
    let left = [left("Max address space", "VmSize:"), left("Max data size", "VmData:")];
    left.into_iter().flatten().min()
}

/// The memory that the limits of the process's control groups leave, of either version, from its own group to the
/// outermost.
///
/// Source: *Control Group v2*, "Memory Interface Files"; *Memory Resource Controller* for the first version.
fn of_groups(cgroup: &str) -> Option<u64> {
    let left = cgroup.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let (root, files) = match controllers {
            "" => ("/sys/fs/cgroup", V2),
            _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", V1),
            _ => return None,
        };
        // Within a container only the part of the path below its own group exists.
        let folders = Path::new(group.trim_start_matches('/')).ancestors().map(|group| Path::new(root).join(group));
        folders.filter_map(|folder| of_group(&|file| read_to_string(folder.join(file)).ok(), files)).min()
    });
    left.min()
}

/// The files with a group's limit and its usage, and the name in `memory.stat` of cached files.
const V2: [&str; 3] = ["memory.max", "memory.current", "inactive_file"];
const V1: [&str; 3] = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];

/// The memory that the limit of one group leaves, given its files. Cached files are evicted when memory is needed.
fn of_group(read: &dyn Fn(&str) -> Option<String>, [limit, taken, kept]: [&str; 3]) -> Option<u64> {
    let bytes = |file: &str| read(file)?.trim().parse::<u64>().ok();
    let kept = number(&read("memory.stat").unwrap_or_default(), kept).unwrap_or(0);
    Some(bytes(limit)?.saturating_sub(bytes(taken)?.saturating_sub(kept)))
}

/// Bytes as users read them.
pub fn shown(bytes: u64) -> String {
    let units = [("EB", 1e18), ("PB", 1e15), ("TB", 1e12), ("GB", 1e9)];
    let (unit, size) = units.into_iter().find(|(_, size)| bytes as f64 >= *size).unwrap_or(("MB", 1e6));
    format!("{:.1} {unit}", bytes as f64 / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_the_least_of_all_limits() {
        let meminfo =
            "MemTotal:       24596608 kB\nMemFree:        20000000 kB\nMemAvailable:   1000 kB\nSwapFree: 24 kB\n";
        assert_eq!(of_machine(meminfo), Some(1024 * 1024));
        let status = "VmPeak:\t    9999 kB\nVmSize:\t    1000 kB\nVmData:\t     500 kB\n";
        let limits = |space: &str, data: &str| {
            format!(
                "Limit Soft Limit Hard Limit Units\nMax data size     {data}    unlimited   bytes\nMax address space   {space}  unlimited bytes\n"
            )
        };
        assert_eq!(of_limits(status, &limits("unlimited", "unlimited")), None);
        assert_eq!(of_limits(status, &limits("2048000", "unlimited")), Some(1_024_000));
        assert_eq!(of_limits(status, &limits("2048000", "512001")), Some(1));
        assert_eq!(of_limits(status, &limits("1000", "unlimited")), Some(0));
        let group = |limit: &'static str, names: [&'static str; 3]| {
            let read = move |file: &str| {
                let text = match file {
                    "memory.stat" => format!("anon 5\n{} 600\n", names[2]),
                    file if file == names[0] => limit.into(),
                    _ => "700\n".into(),
                };
                Some(text)
            };
            of_group(&read, names)
        };
        for names in [V1, V2] {
            assert_eq!(
                [group("1000\n", names), group("max\n", names), group("50\n", names)],
                [Some(900), None, Some(0)]
            );
        }
        assert_eq!((of_groups(""), of_groups("4:cpu:/of/others\n")), (None, None));
    }

    #[test]
    fn too_much_is_refused_with_both_numbers() {
        assert_eq!(require(1 << 10), Ok(()));
        if available().is_some() {
            let why = require(usize::MAX / 2).expect_err("no machine has as much");
            assert!(why.contains("9.2 EB of memory are needed, and ") && why.ends_with(" are there"), "{why}");
        }
        assert_eq!([1_500_000, 20_000_000_000, 3 << 40].map(shown), ["1.5 MB", "20.0 GB", "3.3 TB"]);
    }
}
