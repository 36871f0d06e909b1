//! The patterns of number templates and what a whole template says about the number.

use super::{Node, Ordinal, parse};
use heddle_types::{Error, Result, SqlState};

/// A pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key {
    Comma,
    /// `.` or D
    Point,
    Zero,
    Nine,
    Blank,
    Exponent,
    Fill,
    Group,
    Currency,
    Minus,
    Plus,
    Bracket,
    Roman(bool),
    Sign,
    AnySign,
    Ordinal(Ordinal),
    Shift,
}

const KEYS: &[(&str, Key)] = &[
    (",", Key::Comma),
    (".", Key::Point),
    ("0", Key::Zero),
    ("9", Key::Nine),
    ("B", Key::Blank),
    ("D", Key::Point),
    ("EEEE", Key::Exponent),
    ("FM", Key::Fill),
    ("G", Key::Group),
    ("L", Key::Currency),
    ("MI", Key::Minus),
    ("PL", Key::Plus),
    ("PR", Key::Bracket),
    ("RN", Key::Roman(true)),
    ("SG", Key::AnySign),
    ("S", Key::Sign),
    ("TH", Key::Ordinal(Ordinal::Upper)),
    ("V", Key::Shift),
    ("b", Key::Blank),
    ("d", Key::Point),
    ("eeee", Key::Exponent),
    ("fm", Key::Fill),
    ("g", Key::Group),
    ("l", Key::Currency),
    ("mi", Key::Minus),
    ("pl", Key::Plus),
    ("pr", Key::Bracket),
    ("rn", Key::Roman(false)),
    ("sg", Key::AnySign),
    ("s", Key::Sign),
    ("th", Key::Ordinal(Ordinal::Lower)),
    ("v", Key::Shift),
];

/// Where S stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum SignAt {
    #[default]
    None,
    Before,
    After,
}

/// The template as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Digits before and after the point
    pub(super) pre: usize,
    pub(super) post: usize,
    /// Digits after V
    pub(super) multi: usize,
    pub(super) sign_at: SignAt,
    /// Digits before S
    pub(super) pre_sign: usize,
    /// First column of 0 (counted from one), end of the last
    pub(super) zero_start: usize,
    pub(super) zero_end: usize,
    pub(super) zero: bool,
    pub(super) decimal: bool,
    pub(super) fill: bool,
    pub(super) lsign: bool,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) bracket: bool,
    pub(super) roman: bool,
    pub(super) shift: bool,
    pub(super) exponent: bool,
    pub(super) blank: bool,
}

fn syntax(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn check(bad: bool, message: &str) -> Result<()> {
    if bad { Err(syntax(message)) } else { Ok(()) }
}

/// Cuts a number template and checks it.
pub(super) fn read(template: &str) -> Result<(Vec<Node<Key>>, Shape)> {
    let find = |rest: &str| KEYS.iter().find(|(name, _)| rest.starts_with(name)).map(|&(name, key)| (key, name.len()));
    let nodes = parse(template, false, find);
    let mut shape = Shape::default();
    for node in &nodes {
        if let Node::Action(key, _) = node {
            shape.add(*key)?;
        }
    }
    Ok((nodes, shape))
}

impl Shape {
    fn add(&mut self, key: Key) -> Result<()> {
        check(self.exponent && key != Key::Exponent, "\"EEEE\" must be the last pattern used")?;
        match key {
            Key::Nine => {
                check(self.bracket, "\"9\" must be ahead of \"PR\"")?;
                match () {
                    () if self.shift => self.multi += 1,
                    () if self.decimal => self.post += 1,
                    () => self.pre += 1,
                }
            }
            Key::Zero => {
                check(self.bracket, "\"0\" must be ahead of \"PR\"")?;
                if !self.zero && !self.decimal {
                    self.zero = true;
                    self.zero_start = self.pre + 1;
                }
                *(if self.decimal { &mut self.post } else { &mut self.pre }) += 1;
                self.zero_end = self.pre + self.post;
            }
            Key::Blank => self.blank |= self.pre == 0 && self.post == 0 && !self.zero,
            Key::Point => {
                check(self.decimal, "multiple decimal points")?;
                check(self.shift, "cannot use \"V\" and decimal point together")?;
                self.decimal = true;
            }
            Key::Fill => self.fill = true,
            Key::Sign => {
                check(self.lsign, "cannot use \"S\" twice")?;
                let other = self.plus || self.minus || self.bracket;
                check(other, "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together")?;
                self.lsign = true;
                if self.decimal {
                    self.sign_at = SignAt::After;
                } else {
                    self.sign_at = SignAt::Before;
                    self.pre_sign = self.pre;
                }
            }
            Key::Minus => {
                check(self.lsign, "cannot use \"S\" and \"MI\" together")?;
                self.minus = true;
            }
            Key::Plus => {
                check(self.lsign, "cannot use \"S\" and \"PL\" together")?;
                self.plus = true;
            }
            Key::AnySign => {
                check(self.lsign, "cannot use \"S\" and \"SG\" together")?;
                (self.minus, self.plus) = (true, true);
            }
            Key::Bracket => {
                let other = self.lsign || self.plus || self.minus;
                check(other, "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together")?;
                self.bracket = true;
            }
            Key::Roman(_) => self.roman = true,
            Key::Shift => {
                check(self.decimal, "cannot use \"V\" and decimal point together")?;
                self.shift = true;
            }
            Key::Exponent => self.add_exponent()?,
            Key::Comma | Key::Group | Key::Currency | Key::Ordinal(_) => {}
        }
        Ok(())
    }

    fn add_exponent(&mut self) -> Result<()> {
        check(self.exponent, "cannot use \"EEEE\" twice")?;
        let other = self.blank || self.fill || self.lsign || self.bracket || self.minus || self.plus || self.roman;
        if other || self.shift {
            return Err(syntax("\"EEEE\" is incompatible with other formats")
                .detail("\"EEEE\" may only be used together with digit and decimal point patterns."));
        }
        self.exponent = true;
        Ok(())
    }
}
