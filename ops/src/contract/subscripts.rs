//! The notation of `einsum`: which letter names which axis.

/// What names an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// An axis under an ellipsis, counted from the last.
    Unnamed(usize),
    /// A letter.
    Letter(char),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Label::Letter(letter) => write!(f, "letter {letter}"),
            Label::Unnamed(0) => write!(f, "last axis under `...`"),
            Label::Unnamed(n) => write!(f, "axis {n} before the last under `...`"),
        }
    }
}

/// The labels of all axes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subscripts {
    /// Those of the operands.
    pub(super) ins: Vec<Vec<Label>>,
    /// Those of the result.
    pub(super) out: Vec<Label>,
}

/// A part of a specification: an operand's letters, or the result's, with the place of the ellipsis among them.
struct Term {
    letters: Vec<char>,
    ellipsis: Option<usize>,
}

impl Term {
    fn parse(text: &str) -> Result<Term, String> {
        let mut term = Term { letters: vec![], ellipsis: None };
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("...") {
                if term.ellipsis.replace(term.letters.len()).is_some() {
                    return Err(format!("`{text}` has two ellipses: one stands for any number of axes"));
                }
                rest = after;
                continue;
            }
            match next {
                'a'..='z' | 'A'..='Z' => term.letters.push(next),
                '.' => return Err(format!("`{text}` has a dot that belongs to no ellipsis: write `...`")),
                other => {
                    return Err(format!("`{other}` in `{text}` names no axis: use letters from a to z and A to Z"));
                }
            }
            rest = &rest[next.len_utf8()..];
        }
        Ok(term)
    }

    /// The labels, when the ellipsis stands for this many axes.
    fn labels(&self, unnamed: usize) -> Vec<Label> {
        let letters = |letters: &[char]| letters.iter().copied().map(Label::Letter).collect::<Vec<_>>();
        let Some(at) = self.ellipsis else { return letters(&self.letters) };
        let under = (0..unnamed).rev().map(Label::Unnamed).collect();
        [letters(&self.letters[..at]), under, letters(&self.letters[at..])].concat()
    }
}

impl Subscripts {
    /// The labels that a specification has for operands of these ranks.
    pub(super) fn parse(spec: &str, ranks: &[usize]) -> Result<Subscripts, String> {
        let spec: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
        let mut sides = spec.split("->");
        let (operands, result) = (sides.next().unwrap_or_default(), sides.next());
        if sides.next().is_some() {
            return Err(format!("`{spec}` has two arrows: one separates the operands from the result"));
        }
        let terms = operands.split(',').map(Term::parse).collect::<Result<Vec<Term>, String>>()?;
        if terms.len() != ranks.len() {
            let (named, given) = (terms.len(), ranks.len());
            let s = if named == 1 { "" } else { "s" };
            return Err(format!("`{spec}` names the axes of {named} operand{s}, and there are {given}"));
        }
        let mut ins = vec![];
        for (i, (term, rank)) in terms.iter().zip(ranks).enumerate() {
            let named = term.letters.len();
            let fits = if term.ellipsis.is_some() { named <= *rank } else { named == *rank };
            if !fits {
                let least = if term.ellipsis.is_some() { "at least " } else { "" };
                let text = operands.split(',').nth(i).unwrap_or_default();
                return Err(format!("`{text}` has letters for {least}{named} axes, and operand {i} has {rank}"));
            }
            ins.push(term.labels(rank - named));
        }
        let unnamed = ins.iter().flatten().filter_map(|label| match label {
            Label::Unnamed(n) => Some(n + 1),
            Label::Letter(_) => None,
        });
        let unnamed = unnamed.max().unwrap_or(0);
        let out = match result {
            None => implied(&ins, unnamed),
            Some(text) => {
                let term = Term::parse(text)?;
                if term.ellipsis.is_none() && unnamed > 0 {
                    return Err(format!("`...` stands for {unnamed} axes, and the result `{text}` has no `...`"));
                }
                let out = term.labels(unnamed);
                for (i, label) in out.iter().enumerate() {
                    if !ins.iter().flatten().any(|known| known == label) {
                        return Err(format!("the result `{text}` has the {label}, which no operand has"));
                    }
                    if out[..i].contains(label) {
                        return Err(format!("the result `{text}` has the {label} twice"));
                    }
                }
                out
            }
        };
        Ok(Subscripts { ins, out })
    }
}

/// The result's labels if none are given: the axes under the ellipsis, then the letters that occur once, in the order of
/// the alphabet, upper case first.
fn implied(ins: &[Vec<Label>], unnamed: usize) -> Vec<Label> {
    let all: Vec<Label> = ins.concat();
    let is_single = |label: &Label| all.iter().filter(|other| *other == label).count() == 1;
    let mut letters: Vec<Label> =
        all.iter().filter(|label| matches!(label, Label::Letter(_)) && is_single(label)).copied().collect();
    letters.sort_unstable();
    (0..unnamed).rev().map(Label::Unnamed).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(text: &str) -> Vec<Label> {
        text.chars().map(|c| c.to_digit(10).map_or(Label::Letter(c), |n| Label::Unnamed(n as usize))).collect()
    }

    #[test]
    fn labels_are_numpys() {
        for (spec, ranks, ins, out) in [
            ("ij,jk", &[2, 2][..], &["ij", "jk"][..], "ik"),
            ("ba", &[2], &["ba"], "ab"),
            ("aB", &[2], &["aB"], "Ba"),
            ("ii", &[2], &["ii"], ""),
            (" i j , j -> i ", &[2, 1], &["ij", "j"], "i"),
            ("i...,...i->...", &[3, 2], &["i10", "0i"], "10"),
            ("b...a,...", &[2, 1], &["ba", "0"], "0ab"),
            ("", &[0], &[""], ""),
            ("...->...", &[0], &[""], ""),
        ] {
            let found = Subscripts::parse(spec, ranks);
            let wanted = Subscripts { ins: ins.iter().map(|text| letters(text)).collect(), out: letters(out) };
            assert_eq!(found, Ok(wanted), "{spec}");
        }
    }
}
