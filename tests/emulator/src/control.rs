//! What a test sets and reads: the device, its failures, its checks, and its counts.

use crate::exec::Checks;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A call that is made to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The driver's function, by its exported name.
    pub function: String,
    /// Which call, counted from 1; 0 means every call.
    pub call: u64,
    /// The code it returns.
    pub code: i32,
}

/// A kernel that is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateFault {
    /// Which launch, counted from 1.
    pub launch: u64,
    /// The code of its error.
    pub code: i32,
    /// How many calls later the driver reports it, unless the program waits earlier.
    pub calls: u64,
}

/// The device, and how it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The number of devices. They share one memory.
    pub devices: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// The compute capability.
    pub compute: (u32, u32),
    /// The version that `cuDriverGetVersion` returns, such as 13000.
    pub driver: u32,
    /// The newest PTX accepted.
    pub ptx: (u32, u32),
    /// The number of multiprocessors.
    pub multiprocessors: u32,
    /// Calls that fail.
    pub failures: Vec<Failure>,
    /// A kernel that fails.
    pub fault: Option<LateFault>,
    /// What kernels are checked for.
    pub checks: Checks,
    /// A file to which a line is appended when the process ends.
    pub report: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            devices: 1,
            memory: 1 << 30,
            compute: (8, 0),
            driver: 13000,
            ptx: (99, 9),
            multiprocessors: 8,
            failures: vec![],
            fault: None,
            checks: Checks::default(),
            report: None,
        }
    }
}

/// The keys of settings.
const KEYS: [&str; 13] = [
    "devices",
    "memory",
    "compute",
    "driver",
    "ptx",
    "multiprocessors",
    "fail",
    "fault",
    "seed",
    "steps",
    "races",
    "unwritten",
    "report",
];

impl Settings {
    /// Applies settings such as `devices=1,memory=1G,fail=cuMemAlloc_v2:3:2`. A wrong text changes nothing.
    pub fn apply(&mut self, text: &str) -> Result<(), String> {
        let mut settings = self.clone();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}`: write key=value"))?;
            settings.set(key.trim(), value.trim()).map_err(|error| format!("`{part}`: {error}"))?;
        }
        *self = settings;
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "devices" => self.devices = number(value)?,
            "memory" => self.memory = bytes(value)?,
            "compute" => self.compute = version(value)?,
            "driver" => self.driver = number(value)?,
            "ptx" => self.ptx = version(value)?,
            "multiprocessors" => self.multiprocessors = number(value)?,
            "fail" => self.failures.push(failure(value)?),
            "fault" => self.fault = Some(late_fault(value)?),
            "seed" => self.checks.seed = number(value)?,
            "steps" => self.checks.steps = number(value)?,
            "races" => self.checks.finds_races = choice(value, ["ignore", "refuse"])?,
            "unwritten" => self.checks.refuses_unwritten = choice(value, ["count", "refuse"])?,
            "report" => self.report = Some(PathBuf::from(value)),
            _ => {
                return Err(format!("unknown key; there are {}", KEYS.join(", ")));
            }
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "a whole number expected".into())
}

fn bytes(text: &str) -> Result<u64, String> {
    let units = [("K", 10), ("M", 20), ("G", 30)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.unwrap_or((text, &0));
    let bytes: u64 = number(digits)?;
    bytes.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

fn version(text: &str) -> Result<(u32, u32), String> {
    let (major, minor) = text.split_once('.').ok_or("two numbers with a dot expected")?;
    Ok((number(major)?, number(minor)?))
}

fn failure(text: &str) -> Result<Failure, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [function, call, code] = parts[..] else { return Err("function:call:code expected".into()) };
    let failure = Failure { function: function.into(), call: number(call)?, code: number(code)? };
    if failure.code == 0 { Err("0 is no error".into()) } else { Ok(failure) }
}

fn late_fault(text: &str) -> Result<LateFault, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [launch, code, calls] = parts[..] else { return Err("launch:code:calls expected".into()) };
    Ok(LateFault { launch: number(launch)?, code: number(code)?, calls: number(calls)? })
}

/// Whether a text is the second of two choices.
fn choice(text: &str, choices: [&str; 2]) -> Result<bool, String> {
    let at = choices.iter().position(|choice| *choice == text);
    at.map(|at| at == 1).ok_or_else(|| format!("`{}` or `{}` expected", choices[0], choices[1]))
}

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        /// What was done since the last reset.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counts {
            /// The counts by name.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counts! {
    /// Live allocations.
    live_allocations,
    /// Allocations made.
    allocations,
    /// Allocations that were live when the last user of the context released it.
    leaked_allocations,
    /// Bytes in use, in steps of 512.
    live_bytes,
    /// The most bytes in use at once.
    peak_bytes,
    /// Copies to the device.
    copies_to_device,
    /// Bytes copied to the device.
    bytes_to_device,
    /// Copies to the host.
    copies_to_host,
    /// Bytes copied to the host.
    bytes_to_host,
    /// Copies within the device.
    copies_within,
    /// Bytes copied within the device.
    bytes_within,
    /// Fills of memory.
    memsets,
    /// Kernels launched, including those of graphs.
    launches,
    /// Graphs launched.
    graph_launches,
    /// Kernels launched by graphs.
    graph_kernels,
    /// Modules loaded.
    modules,
    /// Images of machine code, all refused.
    binaries,
    /// Streams created.
    streams,
    /// Waits for a stream, an event or everything.
    synchronizations,
    /// Instructions, counted by thread.
    instructions,
    /// Elements read by kernels, and bytes copied to the host, that were never written.
    unwritten_reads,
}

/// The line written at the end of a process: counts, launches by kernel, and calls by function.
pub fn summary(counts: &Counts, kernels: &BTreeMap<String, u64>, calls: &BTreeMap<&str, u64>) -> String {
    let pairs = |pairs: Vec<(&str, u64)>| {
        pairs.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect::<Vec<_>>().join(",")
    };
    let kernels = pairs(kernels.iter().map(|(name, &count)| (name.as_str(), count)).collect());
    let calls = pairs(calls.iter().map(|(name, &count)| (*name, count)).collect());
    format!("{{{},\"kernels\":{{{kernels}}},\"calls\":{{{calls}}}}}\n", pairs(counts.named()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_set_what_they_say() {
        let mut settings = Settings::default();
        settings
            .apply("devices=2, memory=3M,compute=9.0,fail=cuInit:1:100,fail=cuMemAlloc_v2:0:2,races=ignore")
            .unwrap();
        assert_eq!((settings.devices, settings.memory, settings.compute), (2, 3 << 20, (9, 0)));
        assert_eq!(settings.failures[1], Failure { function: "cuMemAlloc_v2".into(), call: 0, code: 2 });
        assert!(!settings.checks.finds_races);
        settings.apply("").unwrap();
    }

    #[test]
    fn wrong_texts_are_explained_and_set_nothing() {
        for (text, error) in [
            ("memory", "`memory`: write key=value"),
            ("memory=1T", "`memory=1T`: a whole number expected"),
            ("memory=99999999999G", "`memory=99999999999G`: too large"),
            ("compute=9", "`compute=9`: two numbers with a dot expected"),
            ("fail=cuInit:1", "`fail=cuInit:1`: function:call:code expected"),
            ("fail=cuInit:1:0", "`fail=cuInit:1:0`: 0 is no error"),
            ("fault=3:700", "`fault=3:700`: launch:code:calls expected"),
            ("races=no", "`races=no`: `ignore` or `refuse` expected"),
        ] {
            let mut settings = Settings::default();
            assert_eq!(settings.apply(&format!("devices=7,{text}")).unwrap_err(), error);
            assert_eq!(settings, Settings::default());
        }
        for key in KEYS {
            let error = Settings::default().set(key, "?").err().unwrap_or_default();
            assert!(!error.contains("unknown key"), "{key}");
        }
        assert!(Settings::default().apply("speed=1").unwrap_err().contains("unknown key; there are devices,"));
    }

    #[test]
    fn a_summary_is_one_line() {
        let kernels = BTreeMap::from([("k".to_string(), 2)]);
        let line = summary(&Counts { launches: 2, ..Counts::default() }, &kernels, &BTreeMap::from([("cuInit", 1)]));
        let end = ",\"kernels\":{\"k\":2},\"calls\":{\"cuInit\":1}}\n";
        assert!(line.contains("\"launches\":2,") && line.ends_with(end), "{line}");
    }
}
