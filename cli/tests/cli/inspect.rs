//! Looking inside: stages, passes, measurements.

use crate::{as_str, assert_refused, json, program, run, stdout, words};
use gavotte::registry;
use gavotte_core::ir::parse;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use tempfile::TempDir;

const PROGRAM: &str = "\
program @small(%0: f32[3]) -> (f32[3]) {
  %1: f32[3] = mul %0, 2.0f32
  %2: f32[3] = mul %0, 2.0f32
  %3: f32[3] = neg %0
  %4: f32[3] = add %1, %2
  return %4
}
";

fn stage(name: &str, more: &str) -> String {
    stdout(run(["ir", "--stage", name, "--dataset", "karate"].into_iter().chain(words(more))))
}

#[test]
fn programs_of_every_stage_read_back() {
    for name in ["trace", "grad", "optimized"] {
        for more in ["", "--attention dense", "--dtype f64 --heads 2"] {
            let text = stage(name, more);
            let parsed = parse(&text, registry()).unwrap_or_else(|error| panic!("{name} {more}: {error}\n{text}"));
            assert_eq!(parsed.to_string(), text);
        }
    }
    let (loss, step) =
        (parse(&stage("trace", ""), registry()).unwrap(), parse(&stage("grad", ""), registry()).unwrap());
    assert_eq!(loss.outs.len(), 1, "the loss is one number");
    assert!(
        step.outs.len() > loss.args.len() / 2 && step.eqns.len() > loss.eqns.len(),
        "the step holds the backward pass"
    );
}

#[test]
fn devices_are_listed_with_what_is_missing() {
    let text = stdout(run(["devices"]));
    let value = json(run(["devices", "--json"]));
    assert!(text.contains(as_str_of(&value["cpu"]["target"])) && value["cpu"]["threads"].as_u64() >= Some(1), "{text}");
    let libraries = value["libraries"].as_array().expect("a list");
    assert_eq!(libraries.len(), 2, "driver, NVRTC");
    for library in libraries {
        let name = as_str_of(&library["name"]);
        let said = text.lines().find(|line| line.trim_start().starts_with(name)).expect("every library has a line");
        let tried = library["tried"].as_array().expect("a list");
        match library["found"].as_str() {
            Some(file) => assert!(said.contains(file) && tried.contains(&file.into()), "{said}"),
            None => assert!(said.contains("missing") && text.contains(as_str_of(&tried[0])), "{said}"),
        }
    }
    let is_there = !value["gpus"].as_array().expect("a list").is_empty();
    assert!(is_there || text.contains("  cuda     none: "), "{text}");
    assert!(libraries[0]["found"].is_string() || as_str_of(&value["why_no_gpu"]).contains("no CUDA driver"), "{value}");
}

fn as_str_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// A flag that changes nothing of what is printed is a mistake, and the advice is a command that works.
#[test]
fn flags_of_other_stages_are_refused() {
    for (line, advice) in [
        ("ir --stage trace --why", "say --stage fused with it"),
        ("ir --stage stablehlo --locations", "say --stage trace, grad or optimized with it"),
    ] {
        assert_refused(&run(words(line)), &[advice]);
    }
}

#[test]
fn locations_name_source_lines() {
    let text = stage("trace", "--locations");
    assert!(text.lines().any(|line| line.contains("  // ") && line.contains(".rs:")), "{text}");
    assert_eq!(parse(&text, registry()).unwrap().to_string(), stage("trace", ""));
}

#[test]
fn stages_of_the_compiler_print() {
    let fused = stage("fused", "");
    assert!(fused.lines().any(|line| line.starts_with("inline")) && fused.contains("store "), "{fused}");
    let why = stage("fused", "--why");
    assert!(why.starts_with(&fused) && why.contains(" -> ") && why.contains(": fused in group "), "{why}");
    let kernels = stage("kernels", "");
    assert!(kernels.contains("kernel @") && kernels.contains("group 0: "), "{kernels}");
    let plan = stage("plan", "");
    for part in
        ["peak ", "the machine with ", "GFLOP/s", " flops, ", "at least ", "should reach ", "steps ", "arena at "]
    {
        assert!(plan.contains(part), "{part} is not in: {plan}");
    }
}

/// The number after `before` in a line.
fn number_after(text: &str, before: &str) -> f64 {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("`{before}` is not in: {text}"));
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    number.parse().unwrap_or_else(|error| panic!("no number after `{before}`: {error}"))
}

#[test]
fn what_a_gpu_takes_is_predicted_without_one() {
    for gpu in &gavotte_core::runtime::cuda::GPUS {
        let text = stage("plan", &format!("--device cuda --gpu {}", gpu.name));
        for part in ["predicted for NVIDIA", gpu.product, gpu.sources, "n=34", "nothing was measured", "arena "] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        let (totals, kernels) = text.split_once("\nkernels\n").expect("a list of kernels follows the totals");
        let kernels: Vec<&str> = kernels.lines().collect();
        let sum = |before: &str| kernels.iter().map(|line| number_after(line, before)).sum::<f64>();
        let total = |before: &str| number_after(totals, before);
        assert!(kernels.len() > 20 && total("\nstep\n  ") == kernels.len() as f64, "{text}");
        assert_eq!(sum("reads "), total("  reads "));
        assert_eq!(sum("bytes, writes "), total("bytes, writes "));
        let names = kernels.iter().map(|line| line.split(": ").next().unwrap_or(line));
        let times = names.zip(&kernels).map(|(name, line)| number_after(line, &format!("{name}: ")));
        let within = total("within kernels ");
        // Every time is rounded to hundredths.
        assert!((times.sum::<f64>() - within).abs() < 0.006 * (kernels.len() + 1) as f64, "{text}");
        let launches = total(" kernels, ");
        let listed = kernels.iter().flat_map(|line| line.split(" x ").skip(1)).count();
        assert_eq!(launches, listed as f64);
        let (stream, graph) = (total("with plain launches "), total("with a graph of one line "));
        assert!(
            (stream - graph - 0.4 * launches).abs() < 0.02 && (graph - within - 0.5 * launches).abs() < 0.02,
            "{text}"
        );
        let (branches, path) = (total("predicted with graph replay "), total("longest path has "));
        assert!(branches < graph && path < launches && path > 10.0, "{text}");
        assert!(total("sums, at least ") < graph, "{text}");
    }
}

#[test]
fn a_gpu_is_named_for_predictions_only() {
    for (args, parts) in [
        ("--stage plan --gpu h100", &["--gpu h100", "--device cuda"][..]),
        ("--stage kernels --device cuda --gpu t4", &["--gpu t4", "--stage kernels", "--stage plan"]),
        ("--stage plan --device cuda", &["--device cuda", "--gpu"]),
        ("--stage plan --device cuda --gpu v100", &["--gpu", "v100", "h100", "a100", "t4", "k80"]),
    ] {
        assert_refused(&run(words(&format!("ir --dataset karate {args}"))), parts);
    }
}

#[test]
fn the_step_is_exported_for_the_sizes_of_the_data() {
    let (step, module) = (parse(&stage("optimized", ""), registry()).unwrap(), stage("stablehlo", ""));
    let main = module.lines().find(|line| line.contains("func.func public @main(")).expect("there is a main");
    let (taken, given) = main.split_once(") -> (").expect("the signature has operands and results");
    assert_eq!(taken.matches(": tensor<").count(), step.args.len() + step.consts.len(), "{main}");
    assert_eq!(given.matches("tensor<").count(), step.outs.len(), "{main}");
    // The club has 34 members, and both their numbers and their weights are in the step.
    assert!(taken.contains("tensor<34xi32>") && module.contains("stablehlo.scatter"), "{main}");
    assert_eq!(module.matches('{').count(), module.matches('}').count());
    let wide = stage("stablehlo", "--dtype f64 --attention dense");
    assert!(wide.contains("tensor<34x34x8xf64>") && wide.contains("stablehlo.dot_general"));
}

#[test]
fn whoever_stops_reading_is_not_told_of_it() {
    let mut child = program()
        .args(words("ir --stage grad --dataset karate"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn passes_run_in_the_order_given() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("small.txt");
    fs::write(&file, PROGRAM).unwrap();
    let opt = |passes: &str| parse(&stdout(run(["opt", as_str(&file), "--pass", passes])), registry()).unwrap();
    assert_eq!(opt("dce").eqns.len(), 3);
    assert_eq!(opt("cse").eqns.len(), 3);
    assert_eq!(opt("cse,dce").eqns.len(), 2);
    let all = parse(&stdout(run(["opt", as_str(&file)])), registry()).unwrap();
    assert!(all.eqns.len() <= 2);
}

#[test]
fn programs_come_from_standard_input() {
    let mut child = program()
        .args(words("opt - --pass dce"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all([PROGRAM, PROGRAM].concat().as_bytes()).unwrap();
    let text = stdout(child.wait_with_output().unwrap());
    assert_eq!(text.matches("program @small").count(), 2);
    assert!(!text.contains("neg"), "{text}");
}

#[test]
fn a_program_that_is_wrong_is_shown() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("small.txt");
    let refused = |text: &[u8], parts: &[&str]| {
        fs::write(&file, text).unwrap();
        assert_refused(&run(["opt", as_str(&file)]), &[&["small.txt"], parts].concat());
    };
    refused(PROGRAM.replace("neg", "negate").as_bytes(), &["line 4", "negate"]);
    refused(PROGRAM.replace("add %1, %2", "add %1, %9").as_bytes(), &["%9"]);
    refused(PROGRAM.replace("%4: f32[3]", "%4: f32[4]").as_bytes(), &["f32[4]"]);
    refused(b"", &["no program"]);
    refused(b"program @a\n\xff", &["line 2", "UTF-8"]);
}

#[test]
fn the_passes_are_listed() {
    let text = stdout(run(words("opt --list")));
    for pass in gavotte_core::pass::PASSES {
        assert!(text.contains(pass.name) && text.contains(pass.about), "{} is not in:\n{text}", pass.name);
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (_, rule) in registry().rewrites() {
        let row = format!("{} {}", rule.name, words(rule.law));
        assert!(words(&text).contains(&row), "{row} is not in:\n{text}");
    }
}

const DOUBLED: &str = "\
program @doubled(%0: f32[3]) -> (f32[3]) {
  %1: f32[3] = neg %0  // src/model.rs:7:9
  %2: f32[3] = neg %1
  %3: f32[3] = mul %2, 2.0f32
  %4: f32[3] = mul %0, 2.0f32
  %5: f32[3] = add %3, %4
  return %5
}
";

#[test]
fn rewrites_are_explained() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("doubled.txt");
    fs::write(&file, DOUBLED).unwrap();
    let opt = |more: &str| stdout(run(["opt", as_str(&file)].into_iter().chain(words(more))));
    let text = opt("--pass simplify,cse,dce --explain");
    let wanted = "\
// simplify: each rule states its own
//   neg-of-neg
//     law     --x = x
//     before  %2: f32[3] = neg %1
//     where   %1: f32[3] = neg %0
//     after   %0
//     at      line 3
// cse: the same operation of the same operands and attributes has the same outputs
//   %3: f32[3] = mul %0, 2.0f32  ->  %2  at line 5
// dce: what nobody reads, and has no effect of its own, changes no result
//   %1: f32[3] = neg %0  ->  dropped  at line 2, src/model.rs:7:9
program @doubled";
    assert!(text.starts_with(wanted), "{text}");
    // All of it is comments: it parses like the program alone.
    for more in ["--pass simplify,cse,dce", ""] {
        assert_eq!(parse(&opt(&format!("{more} --explain")), registry()).unwrap().to_string(), opt(more));
    }
    assert!(opt("--pass fold --explain").starts_with("// fold: ") && opt("--pass fold --explain").contains("nothing"));
    assert_refused(&run(words("opt --list --explain")), &["--list", "--explain"]);
}

/// The explanation of the training step is what is done to it.
#[test]
fn the_step_is_explained() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("step.txt");
    fs::write(&file, stage("grad", "--locations")).unwrap();
    let [plain, explained] =
        ["", "--explain"].map(|more| stdout(run(["opt", as_str(&file)].into_iter().chain(words(more)))));
    assert_eq!(parse(&explained, registry()).unwrap().to_string(), plain);
    let passes = explained.lines().filter(|line| line.starts_with("// ") && !line.starts_with("//  ")).count();
    assert_eq!(passes, gavotte_core::pass::PIPELINE.len(), "{explained}");
    // Equations keep their lines in the model's source.
    let calls: Vec<&str> = explained.lines().filter(|line| line.contains(" equations  at line ")).collect();
    assert!(!calls.is_empty() && calls.iter().all(|line| line.contains(".rs:")), "{calls:?}");
    assert!(
        explained.lines().any(|line| line.starts_with("//     at      line ") && line.contains(".rs:")),
        "{explained}"
    );
}

#[test]
fn bench_measures_steps() {
    let report = json(run(words("bench --dataset karate --threads 1 --steps 5 --json")));
    assert_eq!((&report["peer"], &report["data"]), (&"gavotte".into(), &"karate".into()));
    assert_eq!((&report["threads"], &report["steps"]), (&1.into(), &5.into()));
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name} is not a number: {report}"));
    for name in ["trace_ms", "compile_ms", "plan_ms", "step_min_s", "kernels", "planned_bytes"] {
        assert!(number(name) > 0.0, "{name}");
    }
    assert!(number("step_min_s") <= number("step_median_s") && number("step_median_s") <= number("step_p90_s"));
    assert!(number("first_step_s") * 1e3 > number("trace_ms") + number("compile_ms"));
    if cfg!(target_os = "linux") {
        assert!((1.0..4096.0).contains(&number("peak_rss_mb")));
    }
    assert!(stdout(run(words("bench --dataset karate --steps 2"))).contains("step, median"));
}

#[test]
fn a_graph_of_any_size_is_measured() {
    let report = json(run(words("bench --dataset rmat:300:2000:16:5 --threads 1 --steps 2 --json")));
    assert_eq!((&report["data"], &report["steps"]), (&"rmat:300:2000:16:5".into(), &2.into()));
    // Its features are dense: the first layer is a matrix product, and there is no symbol for stored entries.
    let text = stdout(run(words("ir --stage trace --dataset rmat:300:2000:16:5")));
    assert!(text.contains("f32[n,16]") && text.contains("dot_general") && !text.contains("[z]"), "{text}");
    for command in ["train", "bench", "ir"] {
        let help = stdout(run([command, "--help"]));
        assert!(help.contains("rmat:NODES:EDGES:FEATS:CLASSES") && help.contains("power law"), "{help}");
    }
}

#[test]
fn a_profile_shows_every_kernel() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("trace.json");
    fs::write(&file, "").unwrap();
    let text = stdout(run(words("bench --dataset karate --steps 2 --threads 2 --profile").chain([as_str(&file)])));
    let events: Vec<Value> = serde_json::from_slice(&fs::read(&file).unwrap()).expect("an array of events");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

    let kernels = stage("kernels", "");
    let kernels: Vec<&str> =
        kernels.lines().filter_map(|line| line.strip_prefix("kernel @")?.split('(').next()).collect();
    assert!(kernels.len() > 20, "{kernels:?}");
    let complete = |name: &str, tid: u64| {
        events.iter().filter(|event| event["ph"] == "X" && event["name"] == name && event["tid"] == tid).count()
    };
    for tid in [0, 1] {
        let named = |event: &&Value| event["ph"] == "M" && event["name"] == "thread_name" && event["tid"] == tid;
        assert_eq!(events.iter().filter(named).count(), 1);
    }
    assert!(complete("wait", 1) >= 5, "small work is done by the first thread alone");
    // A small kernel runs on one thread, one of a group in as many chunks as it has.
    for kernel in &kernels {
        let same = kernels.iter().filter(|other| *other == kernel).count();
        assert!(complete(kernel, 0) + complete(kernel, 1) >= 5 * same, "@{kernel}");
    }
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let number = |name: &str| event[name].as_f64().unwrap_or_else(|| panic!("{name} is not a number: {event}"));
        assert!(number("ts") >= 0.0 && number("dur") >= 0.0 && event["pid"].is_u64(), "{event}");
    }

    let (_, table) = text.split_once("profile of 5 steps").expect("there is a table");
    for part in ["measured", "GB/s", "GFLOP/s", "roofline", "triad", "multiply-adds", "total"] {
        assert!(table.contains(part), "{part} is not in:\n{table}");
    }
    for kernel in &kernels {
        assert!(table.lines().any(|line| line.split_whitespace().next() == Some(kernel)), "@{kernel}:\n{table}");
    }
    let times = table.lines().skip_while(|line| !line.contains("time, us")).skip(1);
    let times = times.take_while(|line| !line.trim_start().starts_with("total"));
    let times: Vec<f64> = times.map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{table}");

    // A timeline is replaced by the next one.
    let args = words("bench --dataset karate --steps 1 --threads 1 --json --profile");
    let report = json(run(args.chain([as_str(&file)])));
    assert_eq!(report["profile"]["rows"].as_array().map(Vec::len), Some(times.len()));
    assert!(report["profile"]["machine"]["bytes_per_s"].as_f64().is_some_and(|rate| rate > 0.0));
}

/// `perf` reads a line for each function: address, bytes, name.
#[test]
fn perf_is_told_the_names_of_kernels() {
    assert!(stdout(run(["--help"])).contains("GAVOTTE_PERF_MAP=1"));
    let is_native = gavotte::Target::native() != gavotte::Target::Portable;
    // Without a target, the fastest one of this machine is used.
    for (value, target, is_wanted) in [("1", "", is_native), ("0", "", false), ("1", "--target portable", false)] {
        let args = words("bench --dataset karate --threads 1 --steps 2 --json").chain(words(target));
        let mut command = program();
        command.args(args).env("GAVOTTE_PERF_MAP", value).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let path = std::path::PathBuf::from(format!("/tmp/perf-{}.map", child.id()));
        let report = json(child.wait_with_output().unwrap());
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        assert!(report["kernels"].as_u64().is_some_and(|n| n > 0));
        let mut functions: Vec<(u64, u64, &str)> = vec![];
        for line in text.lines() {
            let [start, size, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or_else(|error| panic!("{line}: {error}"));
            functions.push((number(start), number(size), name));
        }
        if !is_wanted {
            assert!(functions.is_empty(), "GAVOTTE_PERF_MAP={value} {target}: {text}");
            continue;
        }
        // Every disassembled kernel has its name, once.
        let asm = stage("asm", "");
        let mut kernels: Vec<String> = asm
            .lines()
            .filter(|line| line.starts_with('@') && line.ends_with(" bytes"))
            .filter_map(|line| Some(format!("gavotte::step::{}", line[1..].split_once(':')?.0)))
            .collect();
        let mut names: Vec<&str> =
            functions.iter().map(|(.., name)| *name).filter(|name| name.contains("::step::")).collect();
        kernels.sort();
        names.sort();
        assert!(kernels.len() > 10, "{asm}");
        assert_eq!(names, kernels);
        functions.sort();
        assert!(functions.iter().all(|(start, size, _)| *start >= 4096 && *size > 0), "{text}");
        assert!(functions.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "functions overlap: {text}");
    }
}
