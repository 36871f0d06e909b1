//! corr, covar_* and regr_*: sums and deviations of pairs by Youngs and Cramer, as in PostgreSQL. Rows where either is NULL do not count.

use super::super::Registry;
use super::super::kernel::cast_array;
use super::{Agg, Types, agg};
use crate::function::error::float_overflow;
use arrow::array::{Array, ArrayRef, Float64Array};
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, Error, PgType, Result, oid};

/// Count, sums and sums of deviations; `y` is the first argument.
#[derive(Clone, Copy, Debug, Default)]
struct Pairs {
    n: f64,
    sx: f64,
    sxx: f64,
    sy: f64,
    syy: f64,
    sxy: f64,
}

impl Pairs {
    fn add(&mut self, y: f64, x: f64) -> Result<()> {
        let old = self.n;
        self.n += 1.0;
        self.sx += x;
        self.sy += y;
        if old > 0.0 {
            let (tx, ty) = (x * self.n - self.sx, y * self.n - self.sy);
            let scale = 1.0 / (self.n * old);
            self.sxx += tx * tx * scale;
            self.syy += ty * ty * scale;
            self.sxy += tx * ty * scale;
            self.check(x.is_finite() && y.is_finite())?;
        } else {
            if !x.is_finite() {
                (self.sxx, self.sxy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.syy, self.sxy) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    /// Infinity out of finite input is overflow; out of infinite input it is NaN.
    fn check(&mut self, finite_input: bool) -> Result<()> {
        if [self.sxx, self.syy, self.sxy].iter().any(|v| v.is_infinite()) {
            if finite_input && self.sx.is_finite() && self.sy.is_finite() {
                return Err(float_overflow());
            }
            for v in [&mut self.sxx, &mut self.syy, &mut self.sxy] {
                if v.is_infinite() {
                    *v = f64::NAN;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, o: &Self) {
        if o.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            *self = *o;
            return;
        }
        let n = self.n + o.n;
        let (dx, dy) = (self.sx / self.n - o.sx / o.n, self.sy / self.n - o.sy / o.n);
        let scale = self.n * o.n / n;
        self.sxx += o.sxx + scale * dx * dx;
        self.syy += o.syy + scale * dy * dy;
        self.sxy += o.sxy + scale * dx * dy;
        (self.n, self.sx, self.sy) = (n, self.sx + o.sx, self.sy + o.sy);
    }

    fn fields(&self) -> [f64; 6] {
        [self.n, self.sx, self.sxx, self.sy, self.syy, self.sxy]
    }
}

/// Which result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Corr,
    CovarPop,
    CovarSamp,
    Slope,
    Intercept,
    R2,
    Count,
    AvgX,
    AvgY,
    Sxx,
    Syy,
    Sxy,
}

const ALL: [Which; 12] = [
    Which::Corr,
    Which::CovarPop,
    Which::CovarSamp,
    Which::Slope,
    Which::Intercept,
    Which::R2,
    Which::Count,
    Which::AvgX,
    Which::AvgY,
    Which::Sxx,
    Which::Syy,
    Which::Sxy,
];

fn result(which: Which, p: &Pairs) -> Option<f64> {
    if which == Which::Count {
        return Some(p.n);
    }
    if p.n < 1.0 {
        return None;
    }
    match which {
        Which::Corr if p.sxx == 0.0 || p.syy == 0.0 => None,
        Which::Corr => Some(p.sxy / (p.sxx * p.syy).sqrt()),
        Which::CovarPop => Some(p.sxy / p.n),
        Which::CovarSamp if p.n < 2.0 => None,
        Which::CovarSamp => Some(p.sxy / (p.n - 1.0)),
        Which::Slope | Which::Intercept | Which::R2 if p.sxx == 0.0 => None,
        Which::Slope => Some(p.sxy / p.sxx),
        Which::Intercept => Some((p.sy - p.sx * p.sxy / p.sxx) / p.n),
        Which::R2 if p.syy == 0.0 => Some(1.0),
        Which::R2 => Some((p.sxy * p.sxy) / (p.sxx * p.syy)),
        Which::AvgX => Some(p.sx / p.n),
        Which::AvgY => Some(p.sy / p.n),
        Which::Sxx => Some(p.sxx),
        Which::Syy => Some(p.syy),
        Which::Sxy => Some(p.sxy),
        Which::Count => Some(p.n),
    }
}

/// The aggregate that gives `ALL[W]`.
#[derive(Debug, Default)]
struct Regression<const W: usize>(Pairs);

impl<const W: usize> Agg for Regression<W> {
    type Args<'a> = (&'a Float64Array, &'a Float64Array);
    fn open<'a>(_: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>> {
        let [y, x, ..] = args else { return Err(Error::internal("a regression needs two arguments")) };
        Ok((cast_array(y)?, cast_array(x)?))
    }
    fn update(&mut self, (y, x): &Self::Args<'_>, i: usize) -> Result<()> {
        if x.is_null(i) { Ok(()) } else { self.0.add(y.value(i), x.value(i)) }
    }
    fn state_types(_: &Types) -> Vec<PgType> {
        vec![PgType::new(oid::FLOAT8); 6]
    }
    fn state(&self, _: &Types) -> Result<Vec<Datum>> {
        Ok(self.0.fields().map(Datum::Float8).to_vec())
    }
    fn merge(&mut self, _: &Types, states: &[ArrayRef], i: usize) -> Result<()> {
        let get = |c: usize| match datum_at(&states[c], PgType::new(oid::FLOAT8), i) {
            Datum::Float8(f) => f,
            _ => 0.0,
        };
        self.0.merge(&Pairs { n: get(0), sx: get(1), sxx: get(2), sy: get(3), syy: get(4), sxy: get(5) });
        self.0.check(false)
    }
    fn result(&self, _: &Types) -> Result<Datum> {
        Ok(match (ALL[W], result(ALL[W], &self.0)) {
            (Which::Count, Some(n)) => Datum::Int8(n as i64),
            (_, Some(v)) => Datum::Float8(v),
            (_, None) => Datum::Null,
        })
    }
}

pub(super) fn register(r: &mut Registry) {
    agg!(r, "corr", Regression<0>, "corr(float8,float8)");
    agg!(r, "covar_pop", Regression<1>, "covar_pop(float8,float8)");
    agg!(r, "covar_samp", Regression<2>, "covar_samp(float8,float8)");
    agg!(r, "regr_slope", Regression<3>, "regr_slope(float8,float8)");
    agg!(r, "regr_intercept", Regression<4>, "regr_intercept(float8,float8)");
    agg!(r, "regr_r2", Regression<5>, "regr_r2(float8,float8)");
    agg!(r, "regr_count", Regression<6>, "regr_count(float8,float8)");
    agg!(r, "regr_avgx", Regression<7>, "regr_avgx(float8,float8)");
    agg!(r, "regr_avgy", Regression<8>, "regr_avgy(float8,float8)");
    agg!(r, "regr_sxx", Regression<9>, "regr_sxx(float8,float8)");
    agg!(r, "regr_syy", Regression<10>, "regr_syy(float8,float8)");
    agg!(r, "regr_sxy", Regression<11>, "regr_sxy(float8,float8)");
}
