//! Small symmetric systems: Cholesky, in place, over the lower triangle.

/// A symmetric matrix, stored in full, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Symmetric {
    pub size: usize,
    pub cells: Vec<f64>,
}

/// The lower triangular factor of a positive definite matrix.
#[derive(Debug, Clone)]
pub(crate) struct Cholesky {
    size: usize,
    cells: Vec<f64>,
}

impl Symmetric {
    pub fn zeros(size: usize) -> Self {
        Symmetric { size, cells: vec![0.0; size * size] }
    }

    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.size + column]
    }

    pub fn set(&mut self, row: usize, column: usize, value: f64) {
        self.cells[row * self.size + column] = value;
        self.cells[column * self.size + row] = value;
    }

    pub fn add_to_diagonal(&mut self, index: usize, value: f64) {
        self.cells[index * self.size + index] += value;
    }

    /// The factor; directions in which the matrix is singular to working precision are dropped (their solution is zero).
    pub fn cholesky(&self) -> Cholesky {
        let n = self.size;
        let mut l = self.cells.clone();
        for j in 0..n {
            let (above, below) = l.split_at_mut(j * n + n);
            let row_j = &mut above[j * n..j * n + n];
            let full = row_j[j];
            let pivot = full - row_j[..j].iter().map(|v| v * v).sum::<f64>();
            if pivot <= full * 1e-12 || pivot <= 0.0 {
                // An infinite pivot makes every later product with this direction vanish.
                row_j[j] = f64::INFINITY;
            } else {
                row_j[j] = pivot.sqrt();
            }
            let (head, diagonal) = (&row_j[..j], row_j[j]);
            for i in j + 1..n {
                let row_i = &mut below[(i - j - 1) * n..(i - j) * n];
                let sum = crate::stat::dot(&row_i[..j], head);
                row_i[j] = (row_i[j] - sum) / diagonal;
            }
        }
        Cholesky { size: n, cells: l }
    }
}

impl Cholesky {
    /// Solves in place.
    pub fn solve(&self, x: &mut [f64]) {
        let n = self.size;
        for i in 0..n {
            let row = &self.cells[i * n..i * n + n];
            let sum = crate::stat::dot(&row[..i], &x[..i]);
            x[i] = (x[i] - sum) / row[i];
        }
        for i in (0..n).rev() {
            x[i] /= self.cells[i * n + i];
            let solved = x[i];
            for (k, value) in x[..i].iter_mut().enumerate() {
                *value -= self.cells[i * n + k] * solved;
            }
        }
    }
}
