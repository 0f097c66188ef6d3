//! File tests: a program, a line `---`, and what a pass or a transformation makes of it.
//!
//! The file begins with comments that say what to do:
//!
//! ```text
//! // run: simplify,dce              passes by name, or `optimize` for all of them
//! // run: explain simplify          the same; the program follows a report of what each pass did
//! // run: jvp                       or vjp, linearize, transpose
//! // run: vmap in_axes=[0,None]
//! // run: fuse                      stored arrays and the reasons; or `kernels`, the kernels in order; or `group`,
//! //                                which of them run together and why; or `merge`, the kernels of each group
//! //                                after merging; or `cuda`, those as CUDA C, with their launches
//! // run: parse-error               expects the message
//! // sizes: n=3, e=5                sizes of symbols for checking the results
//! // input 1: 0, 2, 1               elements of an argument, or of a constant after the arguments; else random
//! // Lines without such a word are remarks.
//! ```
//!
//! Apart from its text, what a result computes is checked: the program after passes against the program before them, a
//! derivative against central differences, a batch against a loop, kernels against the reference interpreter.
//! `BLESS=1` writes the results into the files.

use crate::arrays::{Random, from_numbers, random_array};
use crate::compare::{difference, run, widened_arrays, widened_program};
use crate::laws::{check_jvp, check_linearize, check_transpose, check_vjp, check_vmap};
use crate::targets::check_targets;
use crate::transformed::{jvp_program, linearize_programs, transpose_program, vjp_program, vmap_program};
use gavotte_core::aval::{Dim, Sizes, Symbol};
use gavotte_core::codegen::cuda::{Argument, BLOCK, Launch, Module, Source, Width};
use gavotte_core::device::HostArray;
use gavotte_core::ir::{Program, parse, verify};
use gavotte_core::kernel::fuse::Explained;
use gavotte_core::kernel::{
    Kernel, KernelProgram, Space, Step, Why, choose_places, drop_barriers, group, lower_program, parse_kernel,
};
use gavotte_core::pass;
use std::path::Path;

/// The extent of the axis that file tests add for `vmap`.
const BATCH: usize = 3;

/// The directives of a file.
struct FileTest {
    run: String,
    sizes: Sizes,
    inputs: Vec<(usize, Vec<f64>)>,
}

/// The program in a file, with its sizes of symbols.
///
/// # Errors
/// If it cannot be read.
pub fn program_of(path: &Path) -> Result<(Program, Sizes), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (source, _) = text.split_once("\n---\n").ok_or("a line `---` must stand before the expectation")?;
    let program = parse(source, gavotte::registry()).map_err(|error| error.to_string())?;
    Ok((program, read_directives(source)?.sizes))
}

/// Runs one file.
///
/// # Errors
/// If the text differs from the expectation, or the program computes something wrong.
pub fn check_file(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (source, expected) = text.split_once("\n---\n").ok_or("a line `---` must stand before the expectation")?;
    let test = read_directives(source)?;
    let found = test.transformed(source)?;
    if found.trim_end() == expected.trim_end() {
        return Ok(());
    }
    if std::env::var_os("BLESS").is_some_and(|on| on == "1") {
        let text = format!("{source}\n---\n{}\n", found.trim_end());
        return std::fs::write(path, text).map_err(|error| error.to_string());
    }
    Err(format!("found\n{found}\nexpected\n{expected}\nBLESS=1 writes what was found into the file"))
}

fn read_directives(source: &str) -> Result<FileTest, String> {
    let mut test = FileTest { run: String::new(), sizes: Sizes::new(), inputs: vec![] };
    for line in source.lines().map_while(|line| line.strip_prefix("// ")) {
        let Some((name, rest)) = line.split_once(": ") else { continue };
        let rest = rest.trim();
        match name.split_once(' ') {
            None if name == "run" => test.run = rest.into(),
            None if name == "sizes" => {
                for pair in rest.split(',') {
                    let size =
                        pair.split_once('=').and_then(|(symbol, size)| Some((symbol.trim(), size.parse().ok()?)));
                    let (symbol, size) = size.ok_or_else(|| format!("`{pair}` is not a size of a symbol"))?;
                    test.sizes.set(Symbol::new(symbol), size).map_err(|old| format!("{symbol} has size {old}"))?;
                }
            }
            Some(("input", i)) => {
                let i = i.parse().map_err(|_| format!("`{i}` is no input"))?;
                let elements = rest.split(',').map(|x| x.trim().parse::<f64>());
                test.inputs.push((i, elements.collect::<Result<_, _>>().map_err(|error| error.to_string())?));
            }
            _ => return Err(format!("`{line}` is no directive")),
        }
    }
    if test.run.is_empty() { Err("a line `// run: …` must stand first".into()) } else { Ok(test) }
}

impl FileTest {
    /// The resulting text, after checking what it computes.
    fn transformed(&self, source: &str) -> Result<String, String> {
        let parsed = parse(source, gavotte::registry());
        if self.run == "parse-error" {
            return match parsed {
                Ok(program) => Err(format!("this can be read:\n{program}")),
                Err(error) => Ok(error.to_string()),
            };
        }
        let program = parsed.map_err(|error| error.to_string())?;
        let wide = || widened_program(&program).ok_or("the program is not well formed with f64 for f32");
        let mut random = Random::new(1);
        let (kind, options) = self.run.split_once(' ').unwrap_or((&self.run, ""));
        let shown = match kind {
            "jvp" => {
                check_jvp(&wide()?, &widened_arrays(&self.inputs(&program)?), &mut random)?;
                jvp_program(&program)
            }
            "vjp" => {
                check_vjp(&wide()?, &widened_arrays(&self.inputs(&program)?), &mut random)?;
                vjp_program(&program)
            }
            "transpose" => {
                check_transpose(&wide()?, &widened_arrays(&self.inputs(&program)?), &mut random)?;
                transpose_program(&program)
            }
            "linearize" => {
                check_linearize(&wide()?, &widened_arrays(&self.inputs(&program)?), &mut random)?;
                let (primal, linear, _) = linearize_programs(&program);
                return Ok(format!("{primal}{linear}"));
            }
            "vmap" => {
                let in_axes = read_in_axes(options)?;
                let each: Vec<Vec<HostArray>> = self.iterations(&program, &in_axes)?;
                check_vmap(&program, &in_axes, &each, 1e-5)?;
                vmap_program(&program, &in_axes, &Dim::from(BATCH))
            }
            "barriers" => return self.without_barriers(program),
            "fuse" => {
                self.check_compiled(&program)?;
                return Ok(Explained(&program, &choose_places(&program)).to_string());
            }
            "kernels" => {
                self.check_compiled(&program)?;
                return kernel_text(&program);
            }
            "merge" => {
                self.check_compiled(&program)?;
                return merged_text(program);
            }
            "cuda" => {
                self.check_compiled(&program)?;
                return self.cuda_text(program);
            }
            "group" => {
                self.check_compiled(&program)?;
                return group_text(program);
            }
            "explain" => {
                let (result, explained) = self.after_passes(&program, options)?;
                return Ok(format!("{explained}{result}"));
            }
            _ => self.after_passes(&program, &self.run)?.0,
        };
        Ok(shown.to_string())
    }

    /// A program without barriers, and which equations should wait for which.
    fn without_barriers(&self, program: Program) -> Result<String, String> {
        let (found, after) = drop_barriers(program.clone());
        verify(&found).map_err(|error| format!("without barriers: {error}"))?;
        let inputs = self.inputs(&program)?;
        if let Some(why) = difference(&run(&found, &inputs), &run(&program, &inputs), 0.0) {
            return Err(format!("dropping barriers changes what is computed: {why}\n{found}"));
        }
        let name = |i: usize| found.eqns[i].outs[0].var;
        let mut text = found.to_string();
        for (i, others) in after.iter().enumerate().filter(|(_, others)| !others.is_empty()) {
            let others: Vec<String> = others.iter().map(|other| name(*other).to_string()).collect();
            text.push_str(&format!("{} waits for {}\n", name(i), others.join(", ")));
        }
        Ok(text)
    }

    /// The compiled program computes what the interpreter does. The compiler optimises first: a program that the passes
    /// leave unchanged has the kernels that the file shows.
    fn check_compiled(&self, program: &Program) -> Result<(), String> {
        let optimized = pass::optimize(program);
        if optimized != *program {
            return Err(format!("write what the passes leave of it:\n{optimized}"));
        }
        check_targets(program, &self.inputs(program)?)
    }

    /// The program after these passes, and what they did.
    fn after_passes(&self, program: &Program, passes: &str) -> Result<(Program, String), String> {
        let (mut result, mut explained) = (program.clone(), String::new());
        for name in passes.split(',').map(str::trim) {
            result = match (name, pass::find(name)) {
                (_, Some(pass)) => {
                    let (after, changes) = pass.apply_explained(&result);
                    if after != pass.apply(&result) {
                        return Err(format!("{name}: explained, it returns another program"));
                    }
                    explained += &pass::explain(pass, &program.name, &changes, &|_| None);
                    after
                }
                ("optimize", None) => pass::optimize(&result),
                _ => return Err(format!("`{name}` is no pass")),
            };
            verify(&result).map_err(|error| format!("after {name}: {error}"))?;
        }
        let inputs = self.inputs(program)?;
        match difference(&run(&result, &inputs), &run(program, &inputs), 0.0) {
            Some(why) => Err(format!("{} changes what is computed: {why}\n{result}", self.run)),
            None => Ok((result, explained)),
        }
    }

    /// The kernels of a program as CUDA C, each with its launches for the file's sizes. Device functions are omitted.
    fn cuda_text(&self, program: Program) -> Result<String, String> {
        let lowered = KernelProgram::new(program).map_err(|error| error.to_string())?;
        let (mut module, mut kernels) = (Module::new(), vec![]);
        for step in &lowered.steps {
            let Step::Kernel(kernel, _) = step else { continue };
            module.push(kernel, Width::Narrow, "").map_err(|why| why.to_string())?;
            kernels.push(kernel);
        }
        let mut text = String::new();
        for (source, kernel) in module.sources().iter().zip(kernels) {
            let launches = source.launches(&self.sizes, BLOCK).map_err(|error| error.to_string())?;
            let shown: String = launches.iter().map(|launch| launch_text(source, kernel, launch)).collect();
            text.push_str(&format!("{}{shown}\n", source.text));
        }
        Ok(text)
    }

    /// An array for each argument and constant: from the file, or random.
    fn inputs(&self, program: &Program) -> Result<Vec<HostArray>, String> {
        self.inputs_from(program, &mut Random::new(2))
    }

    fn inputs_from(&self, program: &Program, random: &mut Random) -> Result<Vec<HostArray>, String> {
        let mut arrays = vec![];
        for (i, binder) in program.args.iter().chain(&program.consts).enumerate() {
            let aval = binder.aval.at(&self.sizes);
            if aval.shape.iter().any(|dim| dim.as_usize().is_none()) {
                return Err(format!("{aval} needs a line `// sizes: …`"));
            }
            let mut array = random_array(&aval, random);
            if let Some((_, elements)) = self.inputs.iter().find(|(given, _)| *given == i) {
                array = from_numbers(&array.shape(), array.dtype(), elements);
            }
            arrays.push(array);
        }
        Ok(arrays)
    }

    /// The inputs of every iteration of a loop; those that are not batched are the same in each.
    fn iterations(&self, program: &Program, in_axes: &[Option<usize>]) -> Result<Vec<Vec<HostArray>>, String> {
        let mut random = Random::new(3);
        let first = self.inputs_from(program, &mut random)?;
        let iteration = |_| {
            let mut arrays = self.inputs_from(program, &mut random)?;
            for (i, array) in arrays.iter_mut().enumerate() {
                if in_axes.get(i).copied().flatten().is_none() {
                    *array = first[i].clone();
                }
            }
            Ok(arrays)
        };
        (0..BATCH).map(iteration).collect()
    }
}

/// The steps of a program; every kernel is checked, and read back from its text.
fn kernel_text(program: &Program) -> Result<String, String> {
    let mut text = String::new();
    for step in lower_program(program, &choose_places(program)).map_err(|error| error.to_string())? {
        let shown = step.to_string();
        if let Step::Kernel(kernel, _) = step {
            let back = parse_kernel(&shown).map_err(|error| format!("{error}\n{shown}"))?;
            if back != kernel {
                return Err(format!("read back as\n{back}\nfrom\n{shown}"));
            }
        }
        text.push_str(&shown);
    }
    Ok(text)
}

/// The kernels of a program as they run, group by group; each is read back from its text.
fn merged_text(program: Program) -> Result<String, String> {
    let lowered = KernelProgram::new(program).map_err(|error| error.to_string())?;
    for step in &lowered.steps {
        let Step::Kernel(kernel, _) = step else { continue };
        let back = parse_kernel(&kernel.to_string()).map_err(|error| format!("{error}\n{kernel}"))?;
        if back != *kernel {
            return Err(format!("read back as\n{back}\nfrom\n{kernel}"));
        }
    }
    Ok(lowered.to_string())
}

/// The groups of a program with the names of their steps before merging, and the reasons.
fn group_text(program: Program) -> Result<String, String> {
    let (program, after) = drop_barriers(program);
    let fusion = choose_places(&program);
    let steps = lower_program(&program, &fusion).map_err(|error| error.to_string())?;
    let (steps, groups) = group(&program, &fusion, steps, &after);
    let lowered = KernelProgram { program, fusion, steps, groups, composed: vec![], segments: vec![] };
    let mut text = String::new();
    for (i, group) in lowered.groups.iter().enumerate() {
        text.push_str(&format!("group {i}: {}\n", group.space));
        for (k, step) in lowered.steps[group.steps.clone()].iter().enumerate() {
            let part = match &group.space {
                Space::Rows { parts, .. } => format!(": {}", parts[k]),
                Space::Alone | Space::Serial => String::new(),
            };
            text.push_str(&format!("  @{}{part}\n", step.name()));
        }
    }
    Ok(format!("{text}\n{}", Why(&lowered)))
}

/// A launch as it would be written in CUDA C, with numbers for sizes.
fn launch_text(source: &Source, kernel: &Kernel, launch: &Launch) -> String {
    let argument = |argument: &Argument| match argument {
        Argument::Input(i) => format!("v{}", kernel.inputs[*i].0.0),
        Argument::Output(i) => format!("v{}", kernel.outputs[*i].0.0),
        Argument::Scratch(i) => format!("parts{i}"),
        Argument::Record => "record".into(),
        Argument::Number => "kernel".into(),
        Argument::Narrow(x) => x.to_string(),
        Argument::Wide(x) => x.to_string(),
        Argument::Scalar(x) => x.to_string(),
    };
    let arguments: Vec<String> = launch.arguments.iter().map(argument).collect();
    let name = &source.functions[launch.function].name;
    format!("// {name}<<<{}, {}>>>({})\n", launch.grid, launch.block, arguments.join(", "))
}

fn read_in_axes(options: &str) -> Result<Vec<Option<usize>>, String> {
    let list = options.strip_prefix("in_axes=[").and_then(|rest| rest.strip_suffix(']'));
    let list = list.ok_or_else(|| format!("`{options}`: vmap needs in_axes=[…]"))?;
    let axis = |word: &str| match word.trim() {
        "None" => Ok(None),
        word => word.parse().map(Some).map_err(|_| format!("`{word}` is no axis")),
    };
    list.split(',').map(axis).collect()
}
