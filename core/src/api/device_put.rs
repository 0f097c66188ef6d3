//! Moving trees between devices.

use crate::device::DeviceRef;
use crate::error::Error;
use crate::ir::Value;
use crate::tree::Tree;

/// The same tree with every leaf on `device`. Leaves that are there already, and leaves that are being traced, stay.
pub fn device_put<T: Tree>(tree: T, device: &DeviceRef) -> Result<T, Error> {
    let (def, leaves) = tree.into_leaves();
    let moved = leaves.into_iter().map(|leaf| put(leaf, device)).collect::<Result<Vec<Value>, Error>>()?;
    Ok(T::unflatten(&def, moved))
}

fn put(leaf: Value, device: &DeviceRef) -> Result<Value, Error> {
    if leaf.is_traced() || leaf.device().is_some_and(|at| at.name() == device.name()) {
        return Ok(leaf);
    }
    let declared = leaf.declared_aval().shape;
    Ok(Value::from_buffer(device.bring(leaf.into_buffer()?)?).declare(declared))
}
