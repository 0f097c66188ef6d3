//! The two-layer graph attention network.

use crate::Error;
use crate::attention::{AttentionOptions, Head, Join, graph_attention, multi_head};
use crate::data::{Dataset, Split};
use crate::error::check_range;
use crate::experiment::{ArrayForm, Experiment};
use crate::graph::{Nodes, Storage};
use crate::memory::{self, Need};
use crate::plural::counted;
use gavotte::random::Key;
use gavotte::stax::{Layer, Mode, dropout_of};
use gavotte::{DType, Shape, Tree, nn};

/// The numbers of a graph attention network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatConfig {
    /// Number of classes.
    pub classes: usize,
    /// Heads of the first layer; the second one has one head.
    pub heads: usize,
    /// Width of each head of the first layer.
    pub hidden: usize,
    /// In training, the probability to drop an input of a layer, and an attention coefficient.
    pub dropout: f64,
    /// The slope of the attention's leaky ReLU below 0.
    pub slope: f64,
    /// Whether each layer adds a projection of its input.
    pub residual: bool,
    /// How the graph is stored.
    pub storage: Storage,
    /// The type of parameters and features: `f32` or `f64`.
    pub dtype: DType,
}

impl GatConfig {
    /// The paper's setting for Cora, section 3.3: 8 heads of 8, dropout 0.6, slope 0.2; in `f32`.
    pub fn new(classes: usize) -> Self {
        GatConfig {
            classes,
            heads: 8,
            hidden: 8,
            dropout: 0.6,
            slope: 0.2,
            residual: false,
            storage: Storage::Edges,
            dtype: DType::F32,
        }
    }

    /// The number of elements of all parameters, for nodes with this many features; saturates at 64 bits.
    pub fn n_parameter(&self, n_feat: usize) -> u64 {
        // A head has a projection, which a residual doubles, and three vectors.
        let head = |n_feat: u64, width: u64| {
            let rows = n_feat.saturating_mul(1 + u64::from(self.residual));
            rows.saturating_add(3).saturating_mul(width)
        };
        let hidden = (self.heads as u64).saturating_mul(self.hidden as u64);
        head(n_feat as u64, hidden).saturating_add(head(hidden, self.classes as u64))
    }

    /// Checks the ranges of all numbers.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn check(&self) -> Result<(), Error> {
        let GatConfig { classes, heads, hidden, dropout: rate, slope, .. } = *self;
        let fits = (0.0..1.0).contains(&rate);
        check_range("dropout, the probability to drop,", rate, fits, "at least 0 and less than 1")?;
        for (name, n) in
            [("the number of classes", classes), ("the number of heads", heads), ("the width of a head", hidden)]
        {
            check_range(name, n as f64, n > 0, "at least 1")?;
        }
        check_range("the slope", slope, slope.is_finite(), "finite")
    }

    /// The arrays that this network is trained on.
    ///
    /// # Errors
    /// If the number of classes is not the network's, there is not enough memory to train it, or [`Experiment::new`]
    /// refuses the data.
    pub fn experiment(&self, dataset: &Dataset, split: &Split) -> Result<Experiment, Error> {
        let n_class = dataset.n_class();
        if self.classes != n_class {
            return Err(Error::Config(format!(
                "the model has {}, and {} has {n_class}",
                counted(self.classes, "class"),
                dataset.name
            )));
        }
        self.check_memory(dataset)?;
        Experiment::new(dataset, split, self.form())
    }

    /// Checks that parameters and data fit the memory in training.
    ///
    /// # Errors
    /// If more memory is needed than is available; the text says what needs most.
    pub fn check_memory(&self, dataset: &Dataset) -> Result<(), Error> {
        let n_parameter = self.n_parameter(dataset.n_feat());
        let parameters = Need {
            bytes: n_parameter.saturating_mul(self.dtype.size() as u64).saturating_mul(COPIES),
            what: format!("{n_parameter} parameters, in training"),
            advice: "take fewer heads or fewer features of each (--heads, --hidden), or a data set of fewer features",
        };
        let mut needs = vec![parameters];
        needs.extend(Experiment::needs(dataset, self.form()));
        memory::check_all(&dataset.name, &needs)
    }

    fn form(&self) -> ArrayForm {
        ArrayForm { storage: self.storage, dtype: self.dtype }
    }
}

/// In training with Adam, each parameter is stored as itself, its two moments, its gradient, its next value, and its
/// best value so far.
const COPIES: u64 = 6;

/// The parameters of [`gat`].
#[derive(Tree, Clone)]
pub struct GatParams {
    /// The first layer; `w` is `f[F, heads, hidden]`.
    pub hidden: Head,
    /// The second layer; `w` is `f[heads * hidden, 1, classes]`.
    pub out: Head,
}

/// A graph attention network for the classification of nodes, from `f[n, F]` to log-probabilities `f[n, classes]`
/// (Velickovic et al. 2018, section 3.3):
///
/// ```text
/// z = elu(heads of attention, side by side, of dropout(x))
/// log_probs = log_softmax(one head of attention of dropout(z))
/// ```
///
/// Dropout on the input of a layer is drawn once for all its heads. Each layer adds its bias after the sum of messages.
pub fn gat(config: GatConfig) -> Layer<GatParams, Nodes> {
    let GatConfig { classes, heads, hidden, dropout: rate, slope, residual, dtype, .. } = config;
    let options = AttentionOptions { rate, slope, bias: true, residual, dtype };
    let first = multi_head(heads, graph_attention(hidden, options), Join::Concat);
    let second = multi_head(1, graph_attention(classes, options), Join::Mean);
    let (first_init, second_init) = (first.init_fun, second.init_fun);
    Layer::new(
        move |key: Key, shape: Shape| {
            let [key, next] = key.split();
            let (shape, hidden) = first_init(key, shape);
            let (shape, out) = second_init(next, shape);
            (shape, GatParams { hidden, out })
        },
        move |params: &GatParams, nodes: &Nodes, mode: Mode| {
            let [input, attention, between, last] = mode.split();
            let nodes = nodes.with_features(nodes.x.dropout(rate, input));
            let z = nn::elu(&(first.apply_fun)(&params.hidden, &nodes, attention), 1.0);
            let nodes = nodes.with_features(dropout_of(&z, rate, between));
            nn::log_softmax(&(second.apply_fun)(&params.out, &nodes, last), -1)
        },
    )
}
