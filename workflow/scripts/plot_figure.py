"""Plot one of the paper's figures from this run (rule plot_figure)."""

from temdenoise.foundation.files import write_table
from temdenoise.foundation.jobs import job
from temdenoise.report.drawing import draw
from temdenoise.report.style import journal, save_figure

with job(snakemake) as say, journal():
    params, output = snakemake.params, snakemake.output
    figure, rows = draw(
        snakemake.wildcards.figure,
        dict(snakemake.input.items()),
        c_noise=params.c_noise,
        settings=params.settings,
    )
    save_figure(figure, pdf=output.pdf, png=output.png)
    write_table(output.csv, rows)
    say(f"{output.pdf}, .png, .csv")
