//! The functions of training: loss, step, evaluation. A traced program bears the name of the function it comes from.

use super::{Evaluation, State, StepArgs};
use crate::experiment::Inputs;
use crate::graph::Nodes;
use crate::loss::{masked_nll, weight_decay};
use crate::metrics::hits;
use crate::model::GatParams;
use gavotte::optimizers::Optimizer;
use gavotte::random::Key;
use gavotte::stax::{Layer, Mode};
use gavotte::{Array, DType, Jit, jit_with, make_program, stack, value_and_grad_aux};
use gavotte_core::ir::Program;
use gavotte_core::runtime::Options;
use std::sync::Arc;

/// The compiled step: the next state, and the loss of the training nodes, with dropout and without weight decay, before
/// the step.
pub type Step = Jit<'static, StepArgs, (State, Array)>;
/// From a step's number and a training's key to the next number and the step's own key.
pub(super) type Turn = Jit<'static, (Array, Array), (Array, Key)>;
/// The compiled evaluation, without dropout.
pub type Evaluate = Jit<'static, (GatParams, Inputs), Evaluation>;
/// Parameters, inputs and the loss of an epoch's step to what the epoch tells, and the log-probabilities, `f[n, classes]`.
/// What is told is one array, so that whoever reads it waits once, `f64[7]`: the loss of the step, the loss of each split
/// without dropout, and how many nodes of each are predicted right.
pub(super) type Watch = Jit<'static, (GatParams, Inputs, Array), (Array, Array)>;
/// Parameters, inputs and key to the loss with weight decay, and without.
pub(super) type Objective = Arc<dyn Fn(GatParams, Inputs, Key) -> (Array, Array) + Send + Sync>;

pub(super) fn objective(layer: &Layer<GatParams, Nodes>, decay: f64) -> Objective {
    let apply = layer.apply_fun.clone();
    Arc::new(move |params, inputs, key| {
        let log_probs = apply(&params, &inputs.nodes, Mode::Train(key));
        let nll = masked_nll(&log_probs, &inputs.labels, &inputs.masks.train);
        (&nll + weight_decay(&params, decay), nll)
    })
}

pub(super) fn step(f: Objective, optimizer: &Optimizer<GatParams, State>, options: Options) -> Step {
    let Optimizer { update_fun, get_params, .. } = optimizer.clone();
    let differentiated = value_and_grad_aux(move |params: GatParams, inputs: Inputs, key: Key| f(params, inputs, key));
    let step = move |i: Array, state: State, inputs: Inputs, key: Key| {
        let ((_, nll), grads) = differentiated(get_params(&state), inputs, key);
        (update_fun(&i, grads, state), nll)
    };
    jit_with(step, options)
}

/// What a step takes beside state and inputs, made where its arrays are: the number of the next step, and the key of this
/// one.
pub(super) fn turn(options: Options) -> Turn {
    let turn = |i: Array, words: Array| {
        let next = &i + 1i32;
        let key = Key::from_array(words).fold_in(&next);
        (next, key)
    };
    jit_with(turn, options)
}

pub(super) fn evaluate(layer: &Layer<GatParams, Nodes>, options: Options) -> Evaluate {
    let apply = layer.apply_fun.clone();
    let evaluate = move |params: GatParams, inputs: Inputs| {
        let log_probs = apply(&params, &inputs.nodes, Mode::Eval);
        let losses = inputs.masks.as_ref().map(|mask| masked_nll(&log_probs, &inputs.labels, mask));
        Evaluation { log_probs, losses }
    };
    jit_with(evaluate, options)
}

pub(super) fn watch(layer: &Layer<GatParams, Nodes>, options: Options) -> Watch {
    let apply = layer.apply_fun.clone();
    let watch = move |params: GatParams, inputs: Inputs, step_loss: Array| {
        let log_probs = apply(&params, &inputs.nodes, Mode::Eval);
        let losses = inputs.masks.as_ref().map(|mask| masked_nll(&log_probs, &inputs.labels, mask));
        let hits = inputs.masks.as_ref().map(|mask| hits(&log_probs, &inputs.labels, mask));
        let all = [step_loss, losses.train, losses.val, losses.test, hits.train, hits.val, hits.test];
        (stack(&all.map(|figure| figure.astype(DType::F64)), 0), log_probs)
    };
    jit_with(watch, options)
}

/// The loss with weight decay as a program.
pub(super) fn loss(f: Objective, args: (GatParams, Inputs, Key)) -> Program {
    make_program(&move |params: GatParams, inputs: Inputs, key: Key| f(params, inputs, key).0, args)
}

/// The loss with and without weight decay, and the gradient of the first, as a program.
pub(super) fn grad(f: Objective, args: (GatParams, Inputs, Key)) -> Program {
    let differentiated = value_and_grad_aux(move |params: GatParams, inputs: Inputs, key: Key| f(params, inputs, key));
    make_program(&move |params: GatParams, inputs: Inputs, key: Key| differentiated(params, inputs, key), args)
}
