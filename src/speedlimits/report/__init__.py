"""Figures for print and a page for the browser, from trajectories alone."""
