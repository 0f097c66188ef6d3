//! The sizes of symbols, from the arguments of a call.

use crate::aval::{Dim, Sizes};
use crate::error::Error;
use crate::ir::{Program, Value, check_facts_with};
use crate::tree::TreeDef;
use indexmap::IndexMap;

/// The size of every symbol for these arguments: within one call a symbol has one size.
pub(super) fn match_sizes(program: &Program, def: &TreeDef, leaves: &[Value]) -> Result<Sizes, Error> {
    let mut sizes = Sizes::new();
    if program.args.iter().all(|binder| binder.aval.shape.iter().all(|dim| dim.as_number().is_some())) {
        return Ok(sizes);
    }
    let path = |i: usize| def.paths().swap_remove(i);
    let mut first: IndexMap<String, usize> = IndexMap::new();
    for (i, (binder, leaf)) in program.args.iter().zip(leaves).enumerate() {
        for (dim, extent) in binder.aval.shape.iter().zip(leaf.shape()) {
            let extent = extent.as_usize().expect("a computed array has numeric extents");
            let Some((symbol, size)) = dim.solve(extent) else { continue };
            let place = *first.entry(symbol.to_string()).or_insert(i);
            sizes.set(symbol.clone(), size).map_err(|old| {
                Error::Call(format!(
                    "@{}: `{symbol}` is {old} at argument {} and {size} at argument {}\n  within one call a symbol \
                     has one size: give one of them another name with declare",
                    program.name,
                    path(place),
                    path(i)
                ))
            })?;
        }
    }
    let axes = program.args.iter().zip(leaves).enumerate().flat_map(|(i, (binder, leaf))| {
        binder.aval.shape.iter().zip(leaf.shape()).map(move |(dim, extent)| (i, dim, extent))
    });
    for (i, dim, extent) in axes {
        if let Some(symbol) = dim.symbols().into_iter().find(|symbol| sizes.get(symbol).is_none()) {
            return Err(Error::Call(format!(
                "@{}: no argument determines the size of `{symbol}`: argument {} has an axis of {dim}, which is \
                 {extent} here\n  declare that axis as one symbol, or pass an array with an axis of {symbol}",
                program.name,
                path(i)
            )));
        }
    }
    for (i, (binder, leaf)) in program.args.iter().zip(leaves).enumerate() {
        let fits = |(dim, extent): (&Dim, &Dim)| dim == extent || dim.at(&sizes) == *extent;
        if !binder.aval.shape.iter().zip(leaf.shape()).all(fits) {
            return Err(Error::Call(format!(
                "@{}: argument {} is {}, which is not {} for {sizes}",
                program.name,
                path(i),
                leaf.aval(),
                binder.aval
            )));
        }
    }
    check_facts_with(program, &sizes, |symbol| {
        first.get(symbol.name()).map_or(String::new(), |place| format!(" at argument {}", path(*place)))
    })?;
    Ok(sizes)
}
