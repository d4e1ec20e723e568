"""From a grid to a store: columns, blocks, executors, markers, finalisation."""
