"""Define the Markdown document that the agent `lorem` returns.

The document uses every Markdown feature.
"""

LOREM = r"""# The garden at the end of the line

A short report with *italic*, **bold**, ***both***, ~~struck out~~ and `inline code`, and a
[link to the station](https://example.com/station?track=9&from=a%20b "the station").

## What was found 🌱

- roses
    - climbing
        - white, the old kind
    - low
- herbs
    1. thyme
    2. sage

1. Water them.
2. Wait.
   A second line of the same step.

### Still to do

- [x] count the bees 🐝
- [ ] paint the gate
- [ ] ask the neighbour about the plum tree

| Plant | Height (cm) | Note |
|:------|------------:|:----:|
| Rose  | 140 | thorns |
| Sage  | 35 | smells *good* |
| Pipe  | 7 | `a \| b` |

## How it was measured

```python
def mean(values: list[float]) -> float:
    '''The mean, and 0.0 of nothing: if 1 < 2 & "quoted" it stays so.'''
    return sum(values) / len(values) if values else 0.0


print(f"{mean([1.0, 2.5, 4.0]):.2f}")
```

> A garden is never finished,
> it is only left for the evening.
>
> > And found again in the morning.

The mean is $\bar{x} = \frac{1}{n}\sum_{i=1}^{n} x_i$, and over all time

$$
\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}
$$

![a rose behind a wall](https://example.com/rose.png "a picture by reference")

---

#### In other hands

A line ends here\
and goes on. שלום מהגן, and مرحبا من الحديقة; 庭の終わりに; 👩‍🌾 and 🇫🇷 are one sign each.
<https://example.com/auto> is a link too, <b>this is not bold</b>, 5 &lt; 6 &amp; "quotes" stay,
and a price of $5 is not mathematics, nor is $6.

The end.
"""
