"""The plots of docs/bench/, as SVG: how many times as good as each peer tern is, and cost against N."""
import html
import math
import os

INK, QUIET, FAINT, OURS = '#24292f', '#8c959f', '#d0d7de', '#0969da'
COLOURS = {
    'lwip': '#bf8700',
    'lwip by hand': '#d4a72c',
    'gvisor': '#8250df',
    'linux': '#1a7f37',
    'nginx': '#2da44e',
    'limit': QUIET,
    'tern': OURS,
}
FONT = 'font-family="system-ui, sans-serif"'


def text(x, y, words, size=12, anchor='start', colour=INK):
    words = html.escape(words)
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{words}</text>'


def line(x1, y1, x2, y2, colour=QUIET, width=1):
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-width="{width}"/>'


def svg(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" {FONT}>'
    return '\n'.join([head, f'<rect width="{width}" height="{height}" fill="white"/>', *parts, '</svg>', ''])


def powers(low, high):
    return [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def plain(value):
    if value >= 1e6:
        return f'{value / 1e6:g} M'
    return f'{value / 1e3:g} k' if value >= 1e4 else f'{value:g}'


# --- ratios ----------------------------------------------------------------------------------------


def ratio_rows(results):
    """[(label, [(stack, how many times as good as it tern is)])], a row for each case."""
    from bench_report import ROWS, counts, times

    for of in ROWS:
        for case in results.cases(of) if of.name != 'M' else []:
            ours = results.best(of.name, case)
            points = [
                (found['stack'], times(of, ours['median'], found['median']))
                for found in results.stacks(of.name, case)
                if ours and found['stack'].split('-')[0] != 'tern' and counts(results, of, found)
            ]
            tuned = results.tuned(of, case)
            if tuned and ours:
                points.append(('lwip by hand', times(of, ours['median'], tuned)))
            if points:
                yield f'{of.name} {case}'.strip(), points


def draw_ratios(results):
    rows = list(ratio_rows(results))
    if not rows:
        return svg(400, 40, [text(10, 25, 'nothing to compare with was measured')])
    values = [value for _, points in rows for _, value in points] + [1]
    scale = powers(min(values), max(values))
    left, right, top, step = 150, 30, 60, 22
    width, height = 900, top + step * len(rows) + 40

    def x(value):
        low, high = math.log10(scale[0]), math.log10(scale[-1])
        return left + (math.log10(value) - low) / max(high - low, 1) * (width - left - right)

    bottom = height - 30
    parts = [text(10, 22, 'How many times as good as each peer tern is (right of the line: better)', 14)]
    for value in scale:
        heavy = value == 1
        colour, thick = (INK, 2) if heavy else (FAINT, 1)
        parts.append(line(x(value), top - 8, x(value), bottom, colour, thick))
        parts.append(text(x(value), bottom + 16, plain(value), 11, 'middle', QUIET))
    for n, (label, points) in enumerate(rows):
        y = top + step * n + step / 2
        parts.append(text(left - 10, y + 4, label, 12, 'end'))
        for stack, value in points:
            colour = COLOURS.get(stack.split('-')[0], COLOURS.get(stack, INK))
            parts.append(f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')
    at = left
    for stack in dict.fromkeys(stack for _, points in rows for stack, _ in points):
        parts.append(f'<circle cx="{at}" cy="38" r="5" fill="{COLOURS.get(stack.split("-")[0], INK)}"/>')
        parts.append(text(at + 9, 42, stack, 11))
        at += 30 + 7 * len(stack)
    return svg(width, height, parts)


# --- cost against N --------------------------------------------------------------------------------


def draw_w6(results):
    series = {}
    for found in results.lines:
        if found['workload'] == 'W6' and found['case'].isdigit():
            series.setdefault(found['stack'], []).append((int(found['case']), found['median']))
    if not series:
        return svg(400, 40, [text(10, 25, 'W6 was not measured')])
    points = [point for s in series.values() for point in s]
    counts = powers(min(n for n, _ in points), max(n for n, _ in points))
    costs = powers(min(cost for _, cost in points), max(cost for _, cost in points))
    left, right, top, bottom, width, height = 70, 150, 40, 50, 800, 420

    def place(value, scale, start, length):
        low, high = math.log10(scale[0]), math.log10(scale[-1])
        return start + (math.log10(value) - low) / max(high - low, 1) * length

    def x(n):
        return place(n, counts, left, width - left - right)

    def y(cost):
        return height - bottom - place(cost, costs, 0, height - top - bottom)

    parts = [text(10, 22, 'Nanoseconds for a packet to one of N connections at random', 14)]
    for n in counts:
        parts += [line(x(n), top, x(n), height - bottom, FAINT)]
        parts += [text(x(n), height - bottom + 18, plain(n), 11, 'middle', QUIET)]
    for cost in costs:
        parts += [line(left, y(cost), width - right, y(cost), FAINT)]
        parts += [text(left - 8, y(cost) + 4, plain(cost), 11, 'end', QUIET)]
    for stack, points in sorted(series.items()):
        points.sort()
        colour = COLOURS.get(stack.split('-')[0], INK)
        path = ' '.join(f'{x(n):.1f},{y(cost):.1f}' for n, cost in points)
        dash = ' stroke-dasharray="6 4"' if '-' in stack else ''
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts += [f'<circle cx="{x(n):.1f}" cy="{y(c):.1f}" r="3.5" fill="{colour}"/>' for n, c in points]
        parts.append(text(x(points[-1][0]) + 8, y(points[-1][1]) + 4, stack, 12, 'start', colour))
    return svg(width, height, parts)


def draw_all(results, folder):
    for name, drawn in (('ratios.svg', draw_ratios(results)), ('w6.svg', draw_w6(results))):
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
            file.write(drawn)
