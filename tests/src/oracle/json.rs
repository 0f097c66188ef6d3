//! Programs and arrays as JSON. Elements are sent as their bytes, so that no bit is lost.

use gavotte_core::aval::{Aval, DType, Literal};
use gavotte_core::device::{Data, HostArray};
use gavotte_core::ir::{Atom, Attr, Binder, Eqn, Program};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// A type with numeric extents.
pub fn aval_to_json(aval: &Aval) -> Value {
    let shape: Vec<usize> = aval.shape.iter().map(|dim| dim.as_usize().expect("sizes are numbers")).collect();
    json!({ "dtype": aval.dtype.name(), "shape": shape })
}

/// An array: its type, and its elements' bytes in hexadecimal, lowest first.
pub(super) fn array_to_json(array: &HostArray) -> Value {
    let mut hex = String::new();
    let mut put = |bytes: &[u8]| bytes.iter().for_each(|byte| write!(hex, "{byte:02x}").expect("a string grows"));
    let size = array.dtype().size();
    (0..array.len()).for_each(|i| put(&array.get(i).bits().to_le_bytes()[..size]));
    json!({ "dtype": array.dtype().name(), "shape": array.shape().to_vec(), "hex": hex })
}

fn array_from_json(value: &Value) -> HostArray {
    let shape: Vec<usize> = value["shape"]
        .as_array()
        .expect("a shape is a list")
        .iter()
        .map(|extent| extent.as_u64().expect("an extent is a number") as usize)
        .collect();
    let dtype = value["dtype"].as_str().and_then(DType::parse).expect("an element type has a name");
    let hex = value["hex"].as_str().expect("elements are text").as_bytes();
    let digit = |c: u8| (c as char).to_digit(16).expect("elements are hexadecimal") as u8;
    let bytes: Vec<u8> = hex.chunks(2).map(|pair| 16 * digit(pair[0]) + digit(pair[1])).collect();
    assert_eq!(bytes.len(), dtype.size() * shape.iter().product::<usize>(), "elements fill the shape");
    let elements = bytes.chunks_exact(dtype.size()).map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        Literal::from_bits(dtype, u64::from_le_bytes(word))
    });
    let data = Data::of(dtype, elements);
    HostArray::from_data(&shape, data)
}

/// A list of arrays.
pub fn arrays_from_json(value: &Value) -> Vec<HostArray> {
    value.as_array().expect("arrays come in a list").iter().map(array_from_json).collect()
}

fn atom_to_json(atom: &Atom) -> Value {
    match atom {
        Atom::Var(var) => json!({ "var": var.0 }),
        Atom::Literal(literal) => json!({ "literal": literal_to_json(*literal) }),
    }
}

fn literal_to_json(literal: Literal) -> Value {
    array_to_json(&HostArray::scalar(literal))
}

fn attr_to_json(attr: &Attr) -> Value {
    match attr {
        Attr::Dim(dim) => json!(dim.as_number().expect("sizes are numbers")),
        Attr::Literal(literal) => json!({ "literal": literal_to_json(*literal) }),
        Attr::DType(dtype) => json!({ "dtype": dtype.name() }),
        Attr::Word(word) => json!(word),
        Attr::List(attrs) => attrs.iter().map(attr_to_json).collect(),
        Attr::Program(program) => json!({ "program": program_to_json(program) }),
        Attr::Host(_) => unreachable!("no primitive of the registry has a function of the host"),
    }
}

/// A program whose sizes are numbers, with every attribute and nested program.
pub fn program_to_json(program: &Program) -> Value {
    let binder = |binder: &Binder| {
        let mut value = aval_to_json(&binder.aval);
        value["var"] = json!(binder.var.0);
        value
    };
    let eqn = |eqn: &Eqn| {
        let params: Map<String, Value> =
            eqn.params.iter().map(|(name, attr)| (name.to_string(), attr_to_json(attr))).collect();
        json!({
            "prim": eqn.prim.name(),
            "params": params,
            "ins": eqn.ins.iter().map(atom_to_json).collect::<Vec<_>>(),
            "outs": eqn.outs.iter().map(|binder| binder.var.0).collect::<Vec<_>>(),
        })
    };
    json!({
        "args": program.args.iter().map(binder).collect::<Vec<_>>(),
        "consts": program.consts.iter().map(binder).collect::<Vec<_>>(),
        "eqns": program.eqns.iter().map(eqn).collect::<Vec<_>>(),
        "outs": program.outs.iter().map(atom_to_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_keep_their_bits() {
        let arrays = [
            HostArray::new(&[3], vec![-0.0f32, f32::NAN, 1e-40]),
            HostArray::new(&[1, 2], vec![0.1f64, f64::NEG_INFINITY]),
            HostArray::new(&[], vec![i32::MIN]),
            HostArray::new(&[2], vec![u32::MAX, 1]),
            HostArray::new(&[2], vec![true, false]),
            HostArray::new::<f32>(&[0, 3], vec![]),
        ];
        for array in arrays {
            let back = array_from_json(&array_to_json(&array));
            let bits = |array: &HostArray| (0..array.len()).map(|i| array.get(i).bits()).collect::<Vec<u64>>();
            assert_eq!((back.shape(), bits(&back)), (array.shape(), bits(&array)));
        }
    }
}
