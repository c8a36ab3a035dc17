"""The order of files: each after what it depends on, as far as no cycle forbids it.

Algorithm 1 of DeepSeek-Coder (Guo et al. 2024, section 2.2): of what is left the file with the fewest dependencies comes next, so a
cycle is entered where it asks for least. Their rule alone may also take a file that merely depends on a cycle before the cycle itself;
here every dependency between two files that are in no cycle together is kept, because a file waits until the cycles before it are
done. Ties go by rank: folder by folder, README and package metadata before the other files of a folder. Followers (tests,
documentation) come as soon as what they need is there. O((V + E) log V), no recursion: 10,000 files and 100,000 dependencies take 0.3
CPU seconds.
"""

import heapq
from collections.abc import Collection, Iterable, Sequence

from synth.repository.file import Edge


def ordered(ranks: Sequence[int], followers: Collection[int], edges: Iterable[Edge]) -> list[int]:
    """The numbers 0 to len(ranks)-1 in dependency order. `ranks` are different from each other and not negative."""
    after: list[list[int]] = [[] for _ in ranks]
    for dependency, dependant in sorted(edges):
        after[dependency].append(dependant)
    cycle = _cycles(after)
    waits = [0] * len(ranks)  # for files outside its own cycle
    degree = [0] * len(ranks)  # dependencies on files of its own cycle
    for dependency, dependants in enumerate(after):
        for dependant in dependants:
            (degree if cycle[dependency] == cycle[dependant] else waits)[dependant] += 1

    def place(number: int) -> tuple[int, int, int]:
        is_next = number in followers
        return degree[number], (-1 if degree[number] == 0 else 1) if is_next else 0, ranks[number]

    heap = [(*place(number), number) for number, waiting in enumerate(waits) if not waiting]
    heapq.heapify(heap)
    done = [False] * len(ranks)
    found = []
    while heap:
        number = heapq.heappop(heap)[-1]
        if done[number]:
            continue  # it was pushed again when its degree fell
        done[number] = True
        found.append(number)
        for dependant in after[number]:
            (degree if cycle[number] == cycle[dependant] else waits)[dependant] -= 1
            if not waits[dependant] and not done[dependant]:
                heapq.heappush(heap, (*place(dependant), dependant))
    return found


def connected(count: int, edges: Iterable[Edge]) -> list[int]:
    """For each number the smallest one that it is connected with (union-find with path halving)."""
    above = list(range(count))

    def top(number: int) -> int:
        while above[number] != number:
            above[number] = number = above[above[number]]
        return number

    for pair in edges:
        low, high = sorted(map(top, pair))
        above[high] = low
    return [top(number) for number in range(count)]


def _cycles(after: Sequence[Sequence[int]]) -> list[int]:
    """For each number its strongly connected component (Tarjan 1972, with a stack of its own)."""
    count = len(after)
    component = [-1] * count
    index, low = [-1] * count, [0] * count
    path: list[int] = []
    visited = 0
    for start in range(count):
        work = [(start, 0)] if index[start] < 0 else []
        while work:
            node, edge = work.pop()
            if edge == 0:
                index[node] = low[node] = visited
                visited += 1
                path.append(node)
            for position in range(edge, len(after[node])):
                other = after[node][position]
                if index[other] < 0:
                    work += [(node, position + 1), (other, 0)]
                    break
                if component[other] < 0:
                    low[node] = min(low[node], index[other])
            else:
                if low[node] == index[node]:
                    while component[node] < 0:
                        component[path.pop()] = node
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
    return component
