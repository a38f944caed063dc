/** A CPU profile as V8 writes it (Chrome DevTools Protocol, Profiler.Profile). */
export interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
    children?: number[];
  }[];
  /** The id of the node on top of the stack at each look. */
  samples: number[];
  /** Microseconds from the look before. */
  timeDeltas: number[];
}

/** A function and what it called, with the microseconds that it took itself and with all that it called. */
export interface Frame {
  name: string;
  selfUs: number;
  totalUs: number;
  children: Frame[];
}

/** What V8 shows while nothing is to do. */
const IDLE = '(idle)';

/** The profile as a tree of calls, without the time in which the process waited; calls of the same function by the same one are one. */
export function toFrames({ nodes, samples, timeDeltas }: CpuProfile): Frame {
  const selfUs = new Map<number, number>();
  // A look tells what runs from then on, until the next one.
  samples.forEach((id, at) => selfUs.set(id, (selfUs.get(id) ?? 0) + Math.max(0, timeDeltas[at + 1] ?? 0)));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const merge = (name: string, ids: readonly number[]): Frame => {
    const groups = new Map<string, number[]>();
    for (const child of ids.flatMap((id) => byId.get(id)?.children ?? [])) {
      const childName = nameOf(byId.get(child)?.callFrame);
      if (childName !== IDLE) groups.set(childName, [...(groups.get(childName) ?? []), child]);
    }
    const children = [...groups].map(([childName, members]) => merge(childName, members)).filter(({ totalUs }) => totalUs > 0);
    children.sort((one, other) => other.totalUs - one.totalUs);
    const own = ids.reduce((sum, id) => sum + (selfUs.get(id) ?? 0), 0);
    return { name, selfUs: own, totalUs: children.reduce((sum, { totalUs }) => sum + totalUs, own), children };
  };
  return merge('all', nodes[0] === undefined ? [] : [nodes[0].id]);
}

function nameOf(frame: CpuProfile['nodes'][number]['callFrame'] | undefined): string {
  const { functionName = '', url = '', lineNumber = 0 } = frame ?? {};
  const place = url.replace(/^file:\/\//, '').replace(/^.*\/(?:node_modules\/|(?=(?:apps|libs|tools)\/))/, '');
  const name = functionName === '' ? '(anonymous)' : functionName;
  return place === '' ? name : `${name} ${place}:${lineNumber + 1}`;
}

/** The functions that took the most time themselves, each with its part of the whole. */
export function hottest(root: Frame, count: number): { name: string; part: number }[] {
  const byName = new Map<string, number>();
  const visit = ({ name, selfUs, children }: Frame) => {
    byName.set(name, (byName.get(name) ?? 0) + selfUs);
    children.forEach(visit);
  };
  visit(root);
  const sorted = [...byName].sort(([, one], [, other]) => other - one).slice(0, count);
  return sorted.map(([name, selfUs]) => ({ name, part: selfUs / Math.max(1, root.totalUs) }));
}

/** A page of its own that shows the tree: the wider, the longer; what is called stands below; a click goes in, and out again. */
export function toPage(title: string, root: Frame): string {
  // A "<" would end the script's element early.
  const data = JSON.stringify(compact(root)).replaceAll('<', '\\u003c');
  return `<!doctype html><meta charset="utf-8"><title>${title.replaceAll('<', '&lt;')}</title>
<style>body{font:12px sans-serif;margin:8px}#graph div{position:absolute;box-sizing:border-box;height:17px;overflow:hidden;white-space:nowrap;
border:1px solid #fff;cursor:pointer;padding:0 2px}#graph{position:relative}</style>
<h1>${title.replaceAll('<', '&lt;')}</h1><p id="about">&nbsp;</p><div id="graph"></div>
<script>
const root = ${data};
const graph = document.getElementById('graph'), about = document.getElementById('about');
const hue = (name) => [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 60, 0);
function draw(top) {
  graph.replaceChildren();
  const place = ([name, total, self, children], left, width, depth) => {
    if (width < 0.05) return;
    const box = document.createElement('div');
    box.textContent = name;
    box.style.cssText = 'left:' + left + '%;width:' + width + '%;top:' + depth * 17 + 'px;background:hsl(' + hue(name) + ',80%,70%)';
    const text = name + ': ' + (total / 1000).toFixed(1) + ' ms, ' + (100 * total / root[1]).toFixed(1) + ' %, itself ' + (self / 1000).toFixed(1) + ' ms';
    box.title = text;
    box.onmouseover = () => (about.textContent = text);
    box.onclick = () => draw(depth === 0 ? root : [name, total, self, children]);
    graph.append(box);
    let from = left;
    for (const child of children) { place(child, from, width * child[1] / total, depth + 1); from += width * child[1] / total; }
  };
  place(top, 0, 100, 0);
}
draw(root);
</script>
`;
}

type Compact = [name: string, totalUs: number, selfUs: number, children: Compact[]];

const compact = ({ name, totalUs, selfUs, children }: Frame): Compact => [name, totalUs, selfUs, children.map(compact)];
