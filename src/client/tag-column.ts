interface Tagged {
  tags: readonly string[];
}

/** The last column of a list, with tags; whoever uses none has no empty column. */
export function tagColumn(listed: readonly Tagged[]): { heading: string[]; of: (one: Tagged) => string[] } {
  const isUsed = listed.some(({ tags }) => tags.length > 0);
  return { heading: isUsed ? ['TAGS'] : [], of: ({ tags }) => (isUsed ? [tags.join(' ')] : []) };
}
