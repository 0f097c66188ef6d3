//! Convolutions, as users call them.

use super::convolve::{Spec, convolution};
use super::padding::{Padding, counts, ones};
use crate::array::Array;
use crate::contract::Roles;
use crate::movement::reject;
use gavotte_core::aval::Dim;
use gavotte_core::ir::same;
use gavotte_core::ir::structural::renamed;

/// Which axis is which, in the operands and the result of a convolution.
///
/// In words, `N` is the batch and `C` the channels of the input and of the result, `I` and `O` are the channels of the
/// kernel that go in and come out, and every other letter is a spatial axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ConvLayout {
    /// `NHWC`, and kernels `HWIO`; so for other numbers of spatial axes.
    #[default]
    ChannelsLast,
    /// `NCHW`, and kernels `OIHW`; so for other numbers of spatial axes.
    ChannelsFirst,
    /// The axes by letter: of the input, of the kernel, of the result.
    Named(&'static str, &'static str, &'static str),
}

/// How a convolution goes. An empty list is a list of ones.
///
/// Source: JAX, `jax.lax.conv_general_dilated`.
#[derive(Clone, Debug)]
#[doc(alias = "ConvDimensionNumbers")]
pub struct ConvOptions {
    /// How far the kernel moves along each spatial axis.
    pub strides: Vec<usize>,
    /// Zeros around the input.
    pub padding: Padding,
    /// The distance of neighbouring elements of the input: between them there are zeros.
    #[doc(alias = "lhs_dilation")]
    pub base_dilation: Vec<usize>,
    /// The distance of the elements of the input that neighbouring elements of the kernel meet.
    #[doc(alias = "rhs_dilation")]
    pub window_dilation: Vec<usize>,
    /// Which axis is which.
    #[doc(alias = "dimension_numbers")]
    pub layout: ConvLayout,
    /// The number of groups into which channels are cut: each group of the result sees one group of the input.
    #[doc(alias = "feature_group_count")]
    pub feature_groups: usize,
    /// The number of groups into which the batch is cut: each group of the result's channels sees one group of the batch.
    #[doc(alias = "batch_group_count")]
    pub batch_groups: usize,
}

impl Default for ConvOptions {
    /// A dense convolution with strides of 1, channels last, without zeros around the input.
    fn default() -> Self {
        ConvOptions {
            strides: vec![],
            padding: Padding::Valid,
            base_dilation: vec![],
            window_dilation: vec![],
            layout: ConvLayout::ChannelsLast,
            feature_groups: 1,
            batch_groups: 1,
        }
    }
}

/// Axes by role: the batch, the channels (of a kernel: that come out, that go in), the spatial ones.
struct Roled {
    first: usize,
    second: usize,
    spatial: Vec<usize>,
}

impl ConvLayout {
    /// The axes of input, kernel and result, spatial ones in the kernel's order; `None` if the letters do not fit.
    fn roles(self, rank: usize) -> Option<[Roled; 3]> {
        let n = rank.checked_sub(2)?;
        let of =
            |first: usize, second: usize, start: usize| Roled { first, second, spatial: (start..start + n).collect() };
        let (input, kernel, output) = match self {
            ConvLayout::ChannelsLast => return Some([of(0, n + 1, 1), of(n + 1, n, 0), of(0, n + 1, 1)]),
            ConvLayout::ChannelsFirst => return Some([of(0, 1, 2), of(0, 1, 2), of(0, 1, 2)]),
            ConvLayout::Named(input, kernel, output) => (input, kernel, output),
        };
        let order: Vec<char> = kernel.chars().filter(|letter| !"IO".contains(*letter)).collect();
        let read = |names: &str, [first, second]: [char; 2]| {
            let at = |letter: char| {
                let mut found = names.chars().enumerate().filter(|(_, other)| *other == letter).map(|(i, _)| i);
                found.next().filter(|_| found.next().is_none())
            };
            let spatial = order.iter().map(|letter| at(*letter)).collect::<Option<Vec<_>>>()?;
            (names.chars().count() == rank).then_some(Roled { first: at(first)?, second: at(second)?, spatial })
        };
        Some([read(input, ['N', 'C'])?, read(kernel, ['O', 'I'])?, read(output, ['N', 'C'])?])
    }
}

/// The sums of products of `x` with a kernel that moves along its spatial axes; the kernel is not read backwards. `x` is
/// `[n, spatial…, channels in]`, the kernel `[spatial…, channels in, channels out]`, the result
/// `[n, spatial…, channels out]`: [`conv_with`] takes other layouts. The batch may be a symbol, and so may spatial axes
/// as long as the number of places is a polynomial.
///
/// ```
/// use gavotte::{Array, ConvLayout, ConvOptions, Padding, conv, conv_with};
/// let x = Array::new(&[1, 4, 1], vec![1.0f32, 2.0, 4.0, 8.0]);
/// let kernel = Array::new(&[2, 1, 1], vec![-1.0f32, 1.0]);
/// assert_eq!(conv(&x, &kernel, &[1], Padding::Valid).to_vec::<f32>(), [1.0, 2.0, 4.0]);
/// assert_eq!(conv(&x, &kernel, &[2], Padding::Same).to_vec::<f32>(), [1.0, 4.0]);
///
/// let options = ConvOptions { layout: ConvLayout::Named("NWC", "OIW", "CNW"), ..ConvOptions::default() };
/// assert_eq!(conv_with(&x, &kernel.permute(&[2, 1, 0]), &options).dim(2), 3);
/// ```
///
/// # Panics
/// If the ranks differ or are less than 2, the channels do not fit, there are not as many strides as spatial axes, or the
/// element types differ.
///
/// Source: JAX, `jax.lax.conv`, whose channels come first.
#[doc(alias = "conv_general_dilated")]
#[track_caller]
pub fn conv(x: &Array, kernel: &Array, strides: &[usize], padding: Padding) -> Array {
    let options = ConvOptions { strides: strides.to_vec(), padding, ..ConvOptions::default() };
    convolved("conv", x, kernel, &options)
}

/// [`conv`] with strides, dilations, groups and a layout.
///
/// # Panics
/// As [`conv`]; and if groups do not divide the channels or the batch, a letter of a layout is missing or occurs twice,
/// or padding is [`Padding::Same`] around a dilated input.
///
/// Source: JAX, `jax.lax.conv_general_dilated`.
#[doc(alias = "conv_general_dilated")]
#[track_caller]
pub fn conv_with(x: &Array, kernel: &Array, options: &ConvOptions) -> Array {
    convolved("conv_with", x, kernel, options)
}

/// A convolution of `x` with zeros between its elements, `strides` apart: it has the shape that `x` would have as the
/// result of a convolution with these strides and this padding. The kernel has the layout of [`conv`], and is neither
/// read backwards nor are its channels swapped.
///
/// # Panics
/// As [`conv`].
///
/// Source: JAX, `jax.lax.conv_transpose`.
#[track_caller]
pub fn conv_transpose(x: &Array, kernel: &Array, strides: &[usize], padding: Padding) -> Array {
    let options = ConvOptions { strides: strides.to_vec(), padding, ..ConvOptions::default() };
    transposed("conv_transpose", x, kernel, &options)
}

/// [`conv_transpose`] with dilations of the kernel, groups and a layout.
///
/// # Panics
/// As [`conv_with`]; and if the options dilate the input, which the strides do.
#[track_caller]
pub fn conv_transpose_with(x: &Array, kernel: &Array, options: &ConvOptions) -> Array {
    transposed("conv_transpose_with", x, kernel, options)
}

#[track_caller]
fn transposed(operation: &str, x: &Array, kernel: &Array, options: &ConvOptions) -> Array {
    let Some([_, roles, _]) = options.layout.roles(kernel.ndim()) else { refuse_layout(operation, options, x, kernel) };
    let n = roles.spatial.len();
    let strides = counts(operation, "strides", &options.strides, n, x);
    let dilation = counts(operation, "dilations", &options.window_dilation, n, x);
    if options.base_dilation.iter().any(|dilation| *dilation != 1) {
        reject(operation, "the strides dilate the input: leave `base_dilation` empty", &[x, kernel]);
    }
    let mut borders = vec![];
    for (i, axis) in roles.spatial.iter().enumerate() {
        let Some(size) = kernel.dim(*axis).as_usize().filter(|size| *size > 0) else {
            reject(operation, format!("the kernel's axis {axis} must have a known extent that is not 0"), &[x, kernel])
        };
        let (reach, stride) = ((size - 1) * dilation[i], strides[i]);
        let total = reach + stride - 1;
        borders.push(match &options.padding {
            Padding::Valid => (reach, total - reach + (reach + 1).saturating_sub(stride)),
            Padding::Same | Padding::SameLower => {
                let low = if stride > reach { reach } else { total.div_ceil(2) };
                (low, total - low)
            }
            Padding::Explicit(_) => (0, 0),
        });
    }
    let padding = match &options.padding {
        Padding::Explicit(borders) => Padding::Explicit(borders.clone()),
        _ => Padding::Explicit(borders.into_iter().map(|(low, high)| (low as i64, high as i64)).collect()),
    };
    let options = ConvOptions { strides: ones(n), base_dilation: strides, padding, ..options.clone() };
    convolved(operation, x, kernel, &options)
}

#[track_caller]
fn refuse_layout(operation: &str, options: &ConvOptions, x: &Array, kernel: &Array) -> ! {
    let why = match options.layout {
        ConvLayout::Named(input, of, output) => format!(
            "the letters {input}, {of}, {output} must each be one axis: N, C and spatial ones of the input and the result, \
             I, O and spatial ones of the kernel"
        ),
        _ => "takes a batch with channels, and a kernel with channels".into(),
    };
    reject(operation, why, &[x, kernel])
}

/// `x` with an axis cut into groups and members, groups in front.
#[track_caller]
fn grouped(operation: &str, x: &Array, axis: usize, groups: usize) -> Array {
    let Some(members) = x.dim(axis).div_exact(&groups.into()) else {
        reject(operation, format!("axis {axis} does not divide into {groups} groups"), &[x])
    };
    let mut shape = x.shape().clone();
    shape[axis] = members;
    shape.insert(axis, groups.into());
    x.reshape(shape)
}

#[track_caller]
fn convolved(operation: &str, x: &Array, kernel: &Array, options: &ConvOptions) -> Array {
    let all = [x, kernel];
    if x.ndim() != kernel.ndim() {
        reject(operation, format!("the ranks differ: {} and {}", x.ndim(), kernel.ndim()), &all);
    }
    let Some([mut input, mut window, output]) = options.layout.roles(x.ndim()) else {
        refuse_layout(operation, options, x, kernel)
    };
    let n = input.spatial.len();
    let (features, batches) = (options.feature_groups, options.batch_groups);
    if features == 0 || batches == 0 || (features > 1 && batches > 1) {
        reject(operation, "groups must not be 0, and either channels or the batch have groups", &all);
    }
    let channels = [x.dim(input.second), kernel.dim(window.second) * features];
    if !same(&channels[0], &channels[1]) {
        let why = format!("the input has {} channels, and the kernel takes {}", channels[0], channels[1]);
        reject(operation, why, &all);
    }
    let stride = counts(operation, "strides", &options.strides, n, x);
    let base_dilation = counts(operation, "dilations", &options.base_dilation, n, x);
    let window_dilation = counts(operation, "dilations", &options.window_dilation, n, x);
    let (mut low, mut high) = (vec![], vec![]);
    for i in 0..n {
        let size = kernel.dim(window.spatial[i]);
        if size == 0usize {
            reject(operation, format!("axis {} of the kernel has no element", window.spatial[i]), &all);
        }
        let span = (&size - 1) * window_dilation[i] + 1;
        let extent = x.dim(input.spatial[i]);
        let (before, after) =
            options.padding.borders(operation, (i, n), (&extent, &span), (stride[i], base_dilation[i]), x);
        low.push(before);
        high.push(after);
    }
    let (mut x, mut w) = (x.clone(), kernel.clone());
    let mut batch = [vec![], vec![]];
    let groups = features.max(batches);
    if groups > 1 {
        let of = if features > 1 { input.second } else { input.first };
        x = grouped(operation, &x, of, groups);
        w = grouped(operation, &w, window.first, groups);
        batch = [vec![of], vec![window.first]];
        let groups_of_window = window.first;
        for (roled, at) in [(&mut input, of), (&mut window, groups_of_window)] {
            let axes = roled.spatial.iter_mut().chain([&mut roled.first, &mut roled.second]);
            axes.for_each(|axis| *axis += usize::from(*axis >= at));
        }
    }
    let mut shape = w.shape().clone();
    shape[window.second] = x.dim(input.second);
    let w = renamed(&w.0, &shape);
    let spec = Spec {
        roles: Roles { batch, contract: [vec![input.second], vec![window.second]] },
        spatial: [input.spatial.clone(), window.spatial],
        stride,
        low,
        high,
        base_dilation,
        window_dilation,
    };
    let mut out = Array(convolution(&x.0, &w, &spec));
    // Groups, if there are any, then batch and spatial axes in the input's order, then channels.
    let first = usize::from(groups > 1);
    let place = |axis: usize| first + input.spatial.iter().chain([&input.first]).filter(|other| **other < axis).count();
    let mut order = vec![0; n + 2];
    order[output.first] = place(input.first);
    for (to, from) in output.spatial.iter().zip(&input.spatial) {
        order[*to] = place(*from);
    }
    order[output.second] = first + n + 1;
    if groups > 1 {
        order.insert(output.second, 0);
        out = out.permute(&order);
        let mut shape: Vec<Dim> = out.shape().to_vec();
        let group = shape.remove(output.second);
        shape[output.second] = group * &shape[output.second];
        return out.reshape(shape);
    }
    out.permute(&order)
}
