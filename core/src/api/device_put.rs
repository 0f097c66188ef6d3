//! Moving trees between devices, and copying them where they are.

use crate::device::{DeviceRef, cpu};
use crate::error::Error;
use crate::ir::Value;
use crate::tree::Tree;

/// Copies every leaf to `device`. Leaves that are there already, and leaves that are being traced, stay as they are.
///
/// # Errors
/// If a device fails, or the trace of a leaf has ended.
pub fn device_put<T: Tree>(tree: T, device: &DeviceRef) -> Result<T, Error> {
    let (def, leaves) = tree.into_leaves();
    let moved = leaves.into_iter().map(|leaf| put(leaf, device)).collect::<Result<Vec<Value>, Error>>()?;
    Ok(T::unflatten(&def, moved))
}

/// Copies every leaf into the host's memory, which waits until it is computed: the same as [`device_put`] to the
/// processor. Leaves that are there already stay as they are, and so do leaves that are being traced.
///
/// # Errors
/// As [`device_put`]: here is also where a computation that failed on a device says so.
///
/// Source: JAX, `jax.device_get`.
pub fn device_get<T: Tree>(tree: T) -> Result<T, Error> {
    device_put(tree, &cpu())
}

/// A value whose trace has ended is none that moves: [`Value::into_buffer`] says so.
fn is_being_traced(leaf: &Value) -> bool {
    leaf.is_traced() && !leaf.is_escaped()
}

fn put(leaf: Value, device: &DeviceRef) -> Result<Value, Error> {
    if is_being_traced(&leaf) || leaf.device().is_some_and(|at| at.name() == device.name()) {
        return Ok(leaf);
    }
    let declared = leaf.declared_aval().shape;
    Ok(Value::from_buffer(device.bring(leaf.into_buffer()?)?).declare(declared))
}

/// Copies the tree into memory of its own, each leaf on its device. A compiled function may write in place into
/// arguments that are moved into it, so copy a tree first if you need it after such a call. Leaves that are being
/// traced stay as they are.
///
/// # Errors
/// As [`device_put`].
pub fn device_copy<T: Tree>(tree: &T) -> Result<T, Error> {
    let (def, leaves) = tree.flatten();
    let copied = leaves.into_iter().map(copy).collect::<Result<Vec<Value>, Error>>()?;
    Ok(T::unflatten(&def, copied))
}

fn copy(leaf: Value) -> Result<Value, Error> {
    if is_being_traced(&leaf) {
        return Ok(leaf);
    }
    let (declared, device) = (leaf.declared_aval().shape, leaf.device());
    let buffer = leaf.into_buffer()?;
    let device = device.expect("what has a buffer is on a device");
    Ok(Value::from_buffer(device.copy(buffer)?).declare(declared))
}
