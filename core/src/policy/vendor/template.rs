//! Templates of values: text with terms of a plan in braces.
//!
//! ```text
//! {upload_kbps}k/{download_kbps}k        terms
//! {download_bps*3/16}                    multiplied, then divided, by whole numbers
//! {upload_burst_kbps|upload_kbps}        the first that the plan has
//! {priority|8}                           or else a number
//! {{ }}                                  braces themselves
//! ```

use std::fmt::Write as _;

use super::nearest;
use super::term::{Differing, Get, Term, Terms};

/// A value with places to be filled in.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pieces: Box<[Piece]>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(Box<str>),
    /// The first of these that there is.
    Place(Box<[Choice]>),
}

#[derive(Debug, Clone)]
enum Choice {
    Term { term: &'static Term, times: u32, over: u32 },
    Number(u64),
}

/// A piece filled in.
enum Filling<'a> {
    Number(u64),
    Name(&'a str),
}

impl Template {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else if let Some((inside, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}')) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
                }
                let choices: Result<_, _> = inside.split('|').map(choice).collect();
                pieces.push(Piece::Place(choices?));
                rest = after;
            } else {
                return Err(format!(
                    "{text:?} has a brace without its other half; one that stands for itself is written twice"
                ));
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// The text, where no place is in it.
    pub(super) fn literal(&self) -> Option<&str> {
        match &*self.pieces {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is a number whenever it can be filled.
    pub(super) fn is_number(&self) -> bool {
        let [Piece::Place(choices)] = &*self.pieces else {
            return false;
        };
        choices.iter().all(|choice| match choice {
            Choice::Number(_) => true,
            Choice::Term { term, .. } => matches!(term.get, Get::Number(_)),
        })
    }

    /// The terms it depends on.
    pub(super) fn of(&self) -> Differing {
        self.pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Text(_) => &[][..],
                Piece::Place(choices) => choices,
            })
            .fold(Differing::NONE, |all, choice| match choice {
                Choice::Number(_) => all,
                Choice::Term { term, .. } => all.and(term.of),
            })
    }

    /// Filled in; `None` where a place has nothing that there is.
    pub(super) fn text(&self, terms: &Terms<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Place(choices) => match first(choices, terms)? {
                    Filling::Name(name) => text.push_str(name),
                    // A string takes whatever is written to it.
                    Filling::Number(number) => write!(text, "{number}").ok()?,
                },
            }
        }
        Some(text)
    }

    /// The number it is; `None` where there is none.
    pub(super) fn number(&self, terms: &Terms<'_>) -> Option<u64> {
        match &*self.pieces {
            [Piece::Place(choices)] => match first(choices, terms)? {
                Filling::Number(number) => Some(number),
                Filling::Name(_) => None,
            },
            _ => None,
        }
    }
}

fn first<'a>(choices: &[Choice], terms: &Terms<'a>) -> Option<Filling<'a>> {
    choices.iter().find_map(|choice| match choice {
        Choice::Number(number) => Some(Filling::Number(*number)),
        Choice::Term { term, times, over } => match term.get {
            Get::Name(get) => get(terms).map(Filling::Name),
            Get::Number(get) => {
                let number = get(terms)?.saturating_mul(u64::from(*times)) / u64::from(*over);
                Some(Filling::Number(number))
            }
        },
    })
}

fn choice(text: &str) -> Result<Choice, String> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Ok(Choice::Number(number));
    }
    let end = text.find(['*', '/']).unwrap_or(text.len());
    let (name, factors) = text.split_at(end);
    let term = term(name.trim())?;
    let (times, over) = self::factors(factors)
        .ok_or_else(|| format!("{{{text}}}: after a term may come *N, /N or *N/N, N a whole number above 0"))?;
    if (times, over) != (1, 1) && matches!(term.get, Get::Name(_)) {
        return Err(format!("{{{text}}}: {} is a name, not a number", term.name));
    }
    Ok(Choice::Term { term, times, over })
}

/// The term of this name.
pub(super) fn term(name: &str) -> Result<&'static Term, String> {
    Term::called(name).ok_or_else(|| format!("there is no term {name:?}{}", nearest::hint(name, Term::names())))
}

/// `*N/N`, either or both.
fn factors(text: &str) -> Option<(u32, u32)> {
    let whole = |text: &str| text.trim().parse().ok().filter(|number| *number > 0);
    let (times, over) = match text.split_once('/') {
        Some((times, over)) => (times, whole(over)?),
        None => (text, 1),
    };
    let times = match times.trim() {
        "" => 1,
        times => whole(times.strip_prefix('*')?)?,
    };
    Some((times, over))
}
