"""The words of the simulated newsroom: what each topic writes about, and the sentences that the words stand in."""

TOPICS: dict[str, tuple[str, ...]] = {
    topic: tuple(words.split())
    for topic, words in {
        "politics": "parliament minister election senate coalition ballot campaign treaty lawmakers cabinet governor"
        " opposition referendum mayor diplomat sanctions constitution voters legislation embassy summit reform",
        "business": "shares investors inflation merger profits startup retailers exports tariffs earnings bank bonds"
        " wages factory supplier auction mortgage pension dividend economy layoffs broker",
        "sport": "striker goalkeeper league tournament coach stadium penalty marathon champion midfielder transfer"
        " olympics batsman wicket sprint playoff referee athletes relay tennis rugby cyclist",
        "technology": "software smartphone chip robot startup privacy browser satellite laptop encryption algorithm"
        " gadget cloud hackers battery drone app server semiconductor network password engineers",
        "science": "telescope fossil genome asteroid laboratory physicists particle galaxy species glacier volcano"
        " enzyme neurons experiment orbit climate microbes mammoth quantum rover biologists coral",
        "health": "vaccine patients surgeons hospital diet sleep virus clinic allergy therapy nurses diabetes"
        " exercise antibiotics cancer pregnancy vitamins migraine doctors symptoms asthma obesity",
        "culture": "novel gallery orchestra painter premiere director festival theatre poet museum sculpture album"
        " actress opera exhibition film drama composer biography ballet comedy photographer",
        "travel": "airline beach passport island luggage hotel railway cruise tourists airport mountain backpackers"
        " ferry resort itinerary village coastline harbour visa hikers destination campsite",
        "food": "recipe chef bakery restaurant vineyard cheese spices kitchen noodles chocolate harvest barbecue"
        " dessert olive coffee seafood vegetables breakfast dumplings sauce butcher brewery",
        "crime": "detectives burglary trial jury robbery suspect fraud smugglers prison verdict prosecutors arson"
        " kidnapping witness warrant forgery gang ransom court sentence police murder",
        "weather": "storm flood drought heatwave snowfall hurricane forecast thunder blizzard rainfall frost wind"
        " tornado temperatures lightning fog cyclone meteorologists hail wildfire monsoon avalanche",
        "education": "pupils teachers classroom university exams curriculum scholarship tuition graduates campus"
        " kindergarten professors homework literacy students textbooks apprentices lecture degree library"
        " headteacher semester",
    }.items()
}

PLAIN_TITLES = (
    "{0} and {1} divide opinion over {2}",
    "New {0} report looks at {1} and {2}",
    "After the {0}, questions about {1} and {2}",
    "{0} plans for {1} face {2} delay",
    "Why {0} matters for {1} and {2} this year",
    "{0}, {1} and {2}: what we know so far",
    "Inside the {0} that changed {1} and {2}",
    "{0} returns as {1} weighs {2}",
    "Analysis: the {0} between {1} and {2}",
    "{0} agreed after long talks on {1} and {2}",
)
BAIT_TITLES = (
    "You will not believe what this {0} did to {1} and {2}",
    "The shocking {0} secret that {1} and {2} hide",
    "This one weird {0} trick changes {1} and {2} forever",
    "What happened next to {0}, {1} and {2} will stun you",
    "Ten jaw-dropping {0} moments that broke {1} and {2}",
)
"""Titles that promise more than the article holds."""
ABSTRACT = "The {0} and the {1} met the {2} on the question of {3}. Reports on {4} and {5} follow, with a look at {6}."
