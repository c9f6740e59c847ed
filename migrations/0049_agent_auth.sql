-- How EdgeNeuro signs in at an agent's endpoint: JSON with the names of secrets (domain/agent_auth.py); null: it does
-- not.
ALTER TABLE agents ADD COLUMN auth TEXT;
-- 1: one of the demonstration agents of a new local installation, which nobody has changed.
ALTER TABLE agents ADD COLUMN demonstration INTEGER NOT NULL DEFAULT 0;
UPDATE agents SET demonstration = 1
WHERE (id = 'it_support' AND description = 'Computers, accounts and access: passwords, VPN, Wi-Fi, e-mail, software, hardware, security alerts.')
  OR (id = 'hr' AND description = 'Employment matters: holidays and leave, sick days, benefits, recruiting, onboarding, reviews.')
  OR (id = 'finance' AND description = 'Money: salary payments, expenses and reimbursement, invoices, budgets, purchase orders, taxes.')
  OR (id = 'legal' AND description = 'Contracts and compliance: agreements, NDAs, privacy and data protection, licences, trademarks, disputes.')
  OR (id = 'facilities' AND description = 'Buildings and workplaces: desks, meeting rooms, keys and badges, heating, cleaning, parking, repairs.')
  OR (id = 'general' AND description = 'Anything that no other agent covers: greetings, small talk, general knowledge, unclear requests.');
