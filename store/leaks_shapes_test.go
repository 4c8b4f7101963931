package store

import (
	"math"
	"math/rand/v2"
	"slices"
)

// A shape is how the number of sockets of a process goes over time. In its n samples something begins with sample b: a
// leak, or what looks like one until sample stop. The window has w samples.
type shape struct {
	name   string
	leaks  bool
	random bool // chance says how many there are: they may pause, or not go back for a while
	// count makes the numbers. life is how many samples the sockets stay at most; 0 is for ever.
	count func(r *rand.Rand, b, w, n int) (y []int, stop, life int)
}

func series(n int, f func(i int) float64) []int {
	y := make([]int, n)
	for i := range y {
		y[i] = max(0, int(math.Floor(f(i)+1e-9)))
	}
	return y
}

func between(r *rand.Rand, a, b float64) float64 { return a + (b-a)*r.Float64() }

func after(i, b int) float64 { return math.Max(0, float64(i-b)) }

func poisson(r *rand.Rand, m float64) int {
	k, p, l := 0, 1.0, math.Exp(-m)
	for {
		p *= r.Float64()
		if p <= l {
			return k
		}
		k++
	}
}

// shapes are twenty leaks, then twenty that are none.
var shapes = []shape{
	{"line", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		base, rate := between(r, 0, 50), between(r, 100, 1000)/float64(w)
		return series(n, func(i int) float64 { return base + rate*after(i, b) }), 0, 0
	}},
	{"line from nothing", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate := between(r, 100, 300) / float64(w)
		return series(n, func(i int) float64 { return rate * after(i, b) }), 0, 0
	}},
	{"slow line", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		base, rate := between(r, 0, 30), between(r, 12, 30)/float64(w)
		return series(n, func(i int) float64 { return base + rate*after(i, b) }), 0, 0
	}},
	{"fast line", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate := between(r, 3000, 20000) / float64(w)
		return series(n, func(i int) float64 { return 1 + rate*after(i, b) }), 0, 0
	}},
	{"poisson", true, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, c := between(r, 100, 400)/float64(w), 5
		return series(n, func(i int) float64 {
			if i > b {
				c += poisson(r, rate)
			}
			return float64(c)
		}), 0, 0
	}},
	{"slow poisson", true, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, c := between(r, 20, 60)/float64(w), 5
		return series(n, func(i int) float64 {
			if i > b {
				c += poisson(r, rate)
			}
			return float64(c)
		}), 0, 0
	}},
	{"under noise", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, a := between(r, 100, 400)/float64(w), between(r, 3, 12)
		return series(n, func(i int) float64 { return 10 + between(r, 0, a) + rate*after(i, b) }), 0, 0
	}},
	{"under loud noise", true, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, a := between(r, 300, 600)/float64(w), between(r, 20, 40)
		return series(n, func(i int) float64 { return 10 + between(r, 0, a) + rate*after(i, b) }), 0, 0
	}},
	{"under short requests", true, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, l := between(r, 100, 400)/float64(w), between(r, 1, 5)
		return series(n, func(i int) float64 { return float64(poisson(r, l)) + rate*after(i, b) }), 0, 0
	}},
	{"under a sawtooth", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, p, a := between(r, 150, 400)/float64(w), r.IntN(w/50)+w/60, between(r, 5, 20)
		return series(n, func(i int) float64 { return float64(i%p)/float64(p)*a + rate*after(i, b) }), 0, 0
	}},
	{"accelerating", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		k := between(r, 100, 400) / float64(w) / float64(w)
		return series(n, func(i int) float64 { return 3 + k*after(i, b)*after(i, b) }), 0, 0
	}},
	{"exponential", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		k := between(r, 3, 6) / float64(w)
		return series(n, func(i int) float64 { return 2 + 8*(math.Exp(k*after(i, b))-1) }), 0, 0
	}},
	{"slowing", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		k := between(r, 200, 400)
		return series(n, func(i int) float64 { return 3 + k*math.Sqrt(after(i, b)/float64(w)) }), 0, 0
	}},
	{"in small steps", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		s, p := 2+r.IntN(3), w/90+r.IntN(w/15)
		return series(n, func(i int) float64 { return 4 + float64(s*(int(after(i, b))/p)) }), 0, 0
	}},
	{"by a job every some minutes", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		s, p := 3+r.IntN(8), w/60+r.IntN(w/10)
		return series(n, func(i int) float64 { return float64(s * (int(after(i, b)) / p)) }), 0, 0
	}},
	{"jittered", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, c := between(r, 100, 300)/float64(w), 0.0
		return series(n, func(i int) float64 {
			if i > b {
				c += rate * between(r, 0, 2)
			}
			return c
		}), 0, 0
	}},
	{"after a burst", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, at, h := between(r, 200, 600)/float64(w), b-w/4-r.IntN(w/4), between(r, 20, 60)
		return series(n, func(i int) float64 {
			y := 4 + rate*after(i, b)
			if i >= at && i < at+w/80 {
				y += h
			}
			return y
		}), 0, 0
	}},
	{"under day and night", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, p, a := between(r, 300, 600)/float64(w), float64(w)*between(r, .7, 1.2), between(r, 2, 6)
		return series(n, func(i int) float64 { return 10 + a*(1+math.Sin(2*math.Pi*float64(i)/p)) + rate*after(i, b) }), 0, 0
	}},
	{"some are given back", true, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, c := between(r, 200, 400)/float64(w), 10
		return series(n, func(i int) float64 {
			if i > b {
				c += poisson(r, rate) - poisson(r, rate/8)
			}
			return float64(c)
		}), 0, 0
	}},
	{"with pauses", true, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, p := between(r, 250, 500)/float64(w), w/40+r.IntN(w/60)
		c := 2.0
		return series(n, func(i int) float64 {
			if i > b && (i-b)/p%2 == 0 {
				c += rate
			}
			return c
		}), 0, 0
	}},
	{"steady", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		return series(n, func(int) float64 { return 40 }), 0, 0
	}},
	{"churn", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		a, z := between(r, 10, 60), between(r, 2, 40)
		return series(n, func(int) float64 { return a + between(r, 0, z) }), 0, 20
	}},
	{"birth and death", false, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		m, life := between(r, 10, 80), between(r, 3, 30)
		c := int(m)
		return series(n, func(int) float64 {
			gone := 0
			for range c {
				if r.Float64() < 1/life {
					gone++
				}
			}
			c += poisson(r, m/life) - gone
			return float64(c)
		}), 0, 4 * int(life)
	}},
	{"random walk", false, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		c := 50.0
		return series(n, func(int) float64 { c = math.Max(10, c+float64(r.IntN(11)-5)-(c-50)/40); return c }), 0, 20
	}},
	{"sawtooth to zero", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		p, a, ph := w/20+r.IntN(w/3), between(r, 15, 60), r.IntN(w)
		return series(n, func(i int) float64 { return float64((i+ph)%p) / float64(p) * a }), 0, p
	}},
	{"sawtooth to some", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		p, a, ph := w/20+r.IntN(w/3), between(r, 15, 60), r.IntN(w)
		return series(n, func(i int) float64 { return 1 + float64((i+ph)%p)/float64(p)*a }), 0, 0
	}},
	{"uneven sawtooth", false, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		c, top := 0.0, between(r, 20, 50)
		rate := between(r, 100, 600) / float64(w)
		t := top
		return series(n, func(int) float64 {
			if c += rate * between(r, 0, 2); c > t {
				c, t = float64(r.IntN(3)), top*between(r, .8, 1.2)
			}
			return c
		}), 0, 0
	}},
	{"bursts", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		p, h, l, ph := w/8+r.IntN(w/4), between(r, 20, 100), 1+r.IntN(w/40), r.IntN(w)
		return series(n, func(i int) float64 {
			if (i+ph)%p < l {
				return 3 + h
			}
			return 3
		}), 0, 0
	}},
	{"one burst", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h, l := between(r, 20, 100), 3+r.IntN(w/12)
		return series(n, func(i int) float64 {
			if i >= b && i < b+l {
				return 3 + h
			}
			return 3
		}), b + 1, 0
	}},
	{"pool made larger", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h := between(r, 10, 200)
		return series(n, func(i int) float64 { return 10 + h*math.Min(1, after(i, b)) }), b + 1, 0
	}},
	{"pool made larger twice", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h, d := between(r, 10, 60), w/20+r.IntN(w/4)
		return series(n, func(i int) float64 { return 10 + h*math.Min(1, after(i, b)) + h*math.Min(1, after(i, b+d)) }), b + d + 1, 0
	}},
	{"warm-up that stops", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h, d := between(r, 40, 200), w/20+r.IntN(w/2)
		return series(n, func(i int) float64 { return 5 + h*math.Min(1, after(i, b)/float64(d)) }), b + d, 0
	}},
	{"warm-up with churn", false, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h, d, z := between(r, 40, 200), w/20+r.IntN(w/2), between(r, 2, 10)
		return series(n, func(i int) float64 { return 5 + between(r, 0, z) + h*math.Min(1, after(i, b)/float64(d)) }), b + d, 0
	}},
	{"warm-up that slows down", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h, d := between(r, 40, 100), float64(w)*between(r, .02, .08)
		y := series(n, func(i int) float64 { return 5 + h*(1-math.Exp(-after(i, b)/d)) })
		return y, slices.Index(y, y[n-1]) + w/20, 0 // it comes ever more slowly, so that its end takes longer to be seen
	}},
	{"idle keep-alive", false, true, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate, life := between(r, 100, 300)/float64(w), w/20+r.IntN(w/4)
		ends := map[int]int{}
		c := 0
		return series(n, func(i int) float64 {
			c -= ends[i]
			if i > b {
				k := poisson(r, rate)
				c += k
				ends[i+life] = k
			}
			return float64(c)
		}), b + life, life
	}},
	{"day and night", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		p, a, ph := float64(w)*between(r, .3, 1), between(r, 20, 100), between(r, 0, 7)
		return series(n, func(i int) float64 { return 20 + a*(1+math.Sin(ph+2*math.Pi*float64(i)/p)) + between(r, 0, 5) }), 0, 0
	}},
	{"ramp and back", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h, d := between(r, 20, 200), w/20+r.IntN(w/3)
		return series(n, func(i int) float64 {
			x := after(i, b) / float64(d)
			return 10 + h*math.Max(0, math.Min(x, 2-x))
		}), b + d, 0
	}},
	{"job now and then", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		p, h, l, ph := w/6+r.IntN(w/6), between(r, 10, 40), 3+r.IntN(w/20), r.IntN(w)
		return series(n, func(i int) float64 {
			if k := (i + ph) % p; k < l {
				return h * float64(k+1) / float64(l)
			}
			return 0
		}), 0, 0
	}},
	{"deploy", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		h, d := between(r, 20, 80), 2+r.IntN(w/40)
		return series(n, func(i int) float64 {
			if i >= b && i < b+d {
				return h * float64(i-b) / float64(d)
			}
			return h
		}), b + d, 0
	}},
	{"shrinks", false, false, func(r *rand.Rand, b, w, n int) ([]int, int, int) {
		rate := between(r, 50, 200) / float64(w)
		return series(n, func(i int) float64 { return 300 - rate*after(i, b) }), 0, 0
	}},
}
