//! Functions of arrays that NumPy has.

use super::{functions, positive, real};
use crate::functions::Operand::{Edges, Ints};

functions! {
    smooth mean(x) = x.mean(()), [real(&[3, 4])], [real(&[1])];
    smooth mean_0(x) = x.mean(0), [real(&[3, 4])], [real(&[2, 0])];
    exact clip(x) = x.clip(-1.0, 1.5), [real(&[3, 4])], [Edges(&[12])];
    smooth power(x, y) = x.pow(y), [positive(&[5]), real(&[5])];
    exact maximum(x, y) = x.maximum(y), [Edges(&[24]), Edges(&[24])], [Ints(-9, 9, &[7]), Ints(-9, 9, &[7])];
}
