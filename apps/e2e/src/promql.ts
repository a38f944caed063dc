import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode } from '@lezer/common';

/** What an expression asks for. */
export interface Asked {
  /** Each metric that it selects, with the conditions on its labels. */
  metrics: { name: string; matchers: { label: string; values: string[] }[] }[];
  /** Labels by which something is grouped or joined. */
  groupings: string[];
}

/** Reads an expression of Prometheus by its own grammar. Throws on one that is not well formed. */
export function readExpression(expression: string): Asked {
  const asked: Asked = { metrics: [], groupings: [] };
  const textOf = ({ from, to }: { from: number; to: number }) => expression.slice(from, to);
  parser.parse(expression).iterate({
    enter({ node, type }) {
      if (type.isError) throw new Error(`This is no expression, at ${node.from}: ${expression}`);
      if (node.name === 'GroupingLabels') asked.groupings.push(...node.getChildren('LabelName').map(textOf));
      if (node.name !== 'VectorSelector') return;
      const metric = node.getChild('Identifier');
      if (metric === null) throw new Error(`A selector names no metric: ${expression}`);
      const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
      asked.metrics.push({ name: textOf(metric), matchers: matchers.map((matcher) => readMatcher(matcher, textOf)) });
    },
  });
  return asked;
}

function readMatcher(matcher: SyntaxNode, textOf: (node: SyntaxNode) => string): { label: string; values: string[] } {
  const [label, value] = [matcher.getChild('LabelName'), matcher.getChild('StringLiteral')];
  if (label === null || value === null) throw new Error(`This is no matcher: ${textOf(matcher)}`);
  return { label: textOf(label), values: (JSON.parse(textOf(value)) as string).split('|') };
}
