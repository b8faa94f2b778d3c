from tests.services.steps import impatient as impatient
