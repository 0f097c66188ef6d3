//! The functions of training: loss, step, evaluation. A traced program bears the name of the function it comes from.

use super::{Evaluation, StepArgs};
use crate::experiment::Inputs;
use crate::graph::Nodes;
use crate::loss::Loss;
use crate::metrics::hits;
use gavotte::optimizers::Optimizer;
use gavotte::random::Key;
use gavotte::stax::{Layer, Mode};
use gavotte::{Array, DType, Jit, Tree, jit_with, make_program, stack, value_and_grad_aux};
use gavotte_core::ir::Program;
use gavotte_core::runtime::Options;

/// The compiled step: the next state, and the loss of the training nodes before the step, with dropout and without
/// penalties.
pub type Step<S> = Jit<'static, StepArgs<S>, (S, Array)>;
/// The compiled evaluation, without dropout.
pub type Evaluate<P> = Jit<'static, (P, Inputs), Evaluation>;
/// From a step's number and a training's key to the next number and the step's own key.
pub(super) type Advance = Jit<'static, (Array, Array), (Array, Key)>;
/// From parameters, inputs and the loss of an epoch's step to the epoch's figures and the outputs, `f[n, classes]`. The
/// figures are one array, `f64[7]`, so that a reader waits once: the loss of the step, the loss of each split without
/// dropout, and how many nodes of each are predicted right.
pub(super) type Watch<P> = Jit<'static, (P, Inputs, Array), (Array, Array)>;

/// From parameters, inputs and key to the loss with penalties, and without.
pub(super) fn objective<P: Tree + 'static>(
    layer: &Layer<P, Nodes>,
    loss: &Loss<P>,
) -> impl Fn(P, Inputs, Key) -> (Array, Array) + Clone + Send + Sync + use<P> {
    let (apply, loss) = (layer.apply_fun.clone(), loss.clone());
    move |params, inputs, key| {
        let outputs = apply(&params, &inputs.nodes, Mode::Train(key));
        let data = loss.of(&outputs, &inputs.labels, &inputs.masks.train);
        (loss.penalized(&data, &params), data)
    }
}

pub(super) fn step<P: Tree + 'static, S: Tree + 'static>(
    f: impl Fn(P, Inputs, Key) -> (Array, Array) + Send + Sync + 'static,
    optimizer: &Optimizer<P, S>,
    options: Options,
) -> Step<S> {
    let Optimizer { update_fun, get_params, .. } = optimizer.clone();
    let differentiated = value_and_grad_aux(move |params: P, inputs: Inputs, key: Key| f(params, inputs, key));
    let step = move |i: Array, state: S, inputs: Inputs, key: Key| {
        let ((_, loss), grads) = differentiated(get_params(&state), inputs, key);
        (update_fun(&i, grads, state), loss)
    };
    jit_with(step, options)
}

/// Makes the number of the next step and the key of this one, on the device of the arrays.
pub(super) fn turn(options: Options) -> Advance {
    let turn = |i: Array, words: Array| {
        let next = &i + 1i32;
        let key = Key::from_array(words).fold_in(&next);
        (next, key)
    };
    jit_with(turn, options)
}

pub(super) fn evaluate<P: Tree + 'static>(layer: &Layer<P, Nodes>, loss: &Loss<P>, options: Options) -> Evaluate<P> {
    let (apply, loss) = (layer.apply_fun.clone(), loss.clone());
    let evaluate = move |params: P, inputs: Inputs| {
        let outputs = apply(&params, &inputs.nodes, Mode::Eval);
        let losses = inputs.masks.as_ref().map(|mask| loss.of(&outputs, &inputs.labels, mask));
        Evaluation { outputs, losses }
    };
    jit_with(evaluate, options)
}

pub(super) fn watch<P: Tree + 'static>(layer: &Layer<P, Nodes>, loss: &Loss<P>, options: Options) -> Watch<P> {
    let (apply, loss) = (layer.apply_fun.clone(), loss.clone());
    let watch = move |params: P, inputs: Inputs, step_loss: Array| {
        let outputs = apply(&params, &inputs.nodes, Mode::Eval);
        let losses = inputs.masks.as_ref().map(|mask| loss.of(&outputs, &inputs.labels, mask));
        let hits = inputs.masks.as_ref().map(|mask| hits(&outputs, &inputs.labels, mask));
        let all = [step_loss, losses.train, losses.val, losses.test, hits.train, hits.val, hits.test];
        (stack(&all.map(|figure| figure.astype(DType::F64)), 0), outputs)
    };
    jit_with(watch, options)
}

/// The loss with penalties as a program.
pub(super) fn loss<P: Tree>(f: impl Fn(P, Inputs, Key) -> (Array, Array), args: (P, Inputs, Key)) -> Program {
    make_program(&move |params: P, inputs: Inputs, key: Key| f(params, inputs, key).0, args)
}

/// The loss with and without penalties, and the gradient of the first, as a program.
pub(super) fn grad<P: Tree>(
    f: impl Fn(P, Inputs, Key) -> (Array, Array) + Send + Sync,
    args: (P, Inputs, Key),
) -> Program {
    let differentiated = value_and_grad_aux(move |params: P, inputs: Inputs, key: Key| f(params, inputs, key));
    make_program(&move |params: P, inputs: Inputs, key: Key| differentiated(params, inputs, key), args)
}
