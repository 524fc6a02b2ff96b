# Needs: results/evaluation/, results/datasets/{noise}/test/, maps, structures, the learned density
# Makes: results/provenance.json           (versions, machines, seed, commit, digests)
#        results/figures/workflow.json     (the graph of rules, as Snakemake sees it)
#        results/figures/figure_{figure}.* (PDF, PNG, and CSV with the numbers shown)
#        results/report.html               (everything in one page, with results/benchmarks)


rule record_provenance:
    input:
        unpack(learned_density),
        tables=["results/structures/structures.csv"]
        + expand("results/evaluation/{table}.csv", table=["quality", "fidelity"]),
        models=expand("results/models/{model}/model.pt", model=MODELS)
        + (["results/density/model.pt"] if learned(config) else []),
        datasets=expand(
            "results/datasets/{noise}/{split}/{file}",
            noise=NOISES,
            split=SPLITS,
            file=["clean.tif", "noisy.tif", "manifest.json"],
        ),
        images=expand("results/mosaics/{split}/images.tif", split=SPLITS),
        maps=[path for split in SPLITS for path in maps_of(split)],
        densities=[
            path.replace("summary.json", "density.tif") for path in dft_summaries()
        ],
    output:
        record="results/provenance.json",
    log:
        "results/logs/record_provenance.log",
    benchmark:
        "results/benchmarks/record_provenance.tsv"
    conda:
        "../../envs/driver.yaml"
    params:
        seed=config["seed"],
        configuration=text_digest(json.dumps(config, sort_keys=True)),
        recipes=recorded_recipes,
        code=whole_code,
    message:
        "Recording where the results come from"
    script:
        "../scripts/record_provenance.py"


rule draw_workflow:
    input:
        # what the graph shows of the micrographs depends on them
        images=[f"results/micrographs/{file}_images.json" for file in MICROGRAPHS],
    output:
        graph="results/figures/workflow.json",
    log:
        "results/logs/draw_workflow.log",
    benchmark:
        "results/benchmarks/draw_workflow.tsv"
    conda:
        "../../envs/driver.yaml"
    params:
        config=config,
        snakefile=str((RULES / "../../Snakefile").resolve()),
        code=recipe_of("draw_workflow.py"),
    message:
        "Asking Snakemake for the graph of the workflow"
    script:
        "../scripts/draw_workflow.py"


rule plot_figure:
    input:
        unpack(figure_inputs),
    output:
        pdf="results/figures/figure_{figure}.pdf",
        png=report(
            "results/figures/figure_{figure}.png",
            category="Figures",
            labels={"figure": "{figure}"},
            caption="../report/figure.rst",
        ),
        csv="results/figures/figure_{figure}.csv",
    log:
        "results/logs/plot_figure/{figure}.log",
    benchmark:
        "results/benchmarks/plot_figure/{figure}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        caption=figure_caption,
        c_noise=figure_c_noise,
        settings=figure_settings,
        code=figure_code,
    message:
        "Plotting figure {wildcards.figure}"
    script:
        "../scripts/plot_figure.py"


rule report_ms_ssim:
    input:
        unpack(test_images),
        unpack(learned_density),
        quality="results/evaluation/quality.csv",
        fidelity="results/evaluation/fidelity.csv",
        defects="results/evaluation/defects.csv",
        worst=expand("results/evaluation/{noise}/worst.tif", noise=NOISES),
        figures=figure_results(".png"),
        micrographs=micrograph_results("_marked.tif"),
        verdicts=micrograph_results("_summary.json"),
        summaries=dft_summaries(),
        atoms=[f"results/structures/{s}.extxyz" for s in all_structures()],
        maps=[f"results/maps/{s}.tif" for s in all_structures()],
        joints=expand("results/mosaics/{split}/joints.json", split=SPLITS),
        trainings=expand("results/models/{model}/metrics.csv", model=MODELS),
        provenance="results/provenance.json",
    output:
        page=report(
            "results/report.html",
            category="Summary",
            labels={"page": "the run as a story"},
            caption="../report/summary.rst",
        ),
    log:
        "results/logs/report_ms_ssim.log",
    benchmark:
        "results/benchmarks/report_ms_ssim.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        config=config,
        models=MODELS,
        # no input: a measurement that is missing is no reason to compute anything again
        benchmarks="results/benchmarks",
        code=recipe_of("report_ms_ssim.py"),
        templates=[
            file_digest(path)
            for path in templates(
                "page.html.j2", "report.html.j2", "report.css", "report.js"
            )
        ],
    message:
        "Composing the report"
    script:
        "../scripts/report_ms_ssim.py"
